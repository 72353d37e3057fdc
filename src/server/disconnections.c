/* Ends tunnels by order of the operator. Runs in the broker's event loop; what takes long is done
 * between other events, by removals.c. */
#include "server/disconnections.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/data_plane.h"
#include "server/endpoint.h"
#include "server/peer_walk.h"
#include "server/removals.h"

enum {
	TELL_PERIOD_MS = 1000, /* while it is done */
};

struct disconnection {
	LIST_ENTRY(disconnection) entry;
	struct disconnections *all;
	struct disconnect_order order;
	struct peer_walk walk;
	struct endpoint *endpoint; /* whose peers are gone through; NULL: that is over */
	uint64_t number;
	uint64_t told_ms;
	struct disconnect_state state;
};

static bool is_order(const struct disconnect_order *order)
{
	switch ((enum disconnect_kind)order->kind) {
	case DISCONNECT_ADDRESS:
		return order->address.value != 0;
	case DISCONNECT_KEY:
		return !key_is_zero(&order->key);
	case DISCONNECT_NAME:
		return client_name_is_valid(&order->name) && !client_name_is_none(&order->name);
	default:
		return false;
	}
}

static struct ipv4 outer_of(const struct peer *peer)
{
	return peer->id.kind == PEER_IPIP ? peer->id.remote : peer->usage.outer;
}

static bool is_meant(const struct peer *peer, const struct disconnect_order *order)
{
	switch ((enum disconnect_kind)order->kind) {
	case DISCONNECT_ADDRESS:
		return ipv4_equal(peer->id.inner, order->address) ||
		       ipv4_equal(outer_of(peer), order->address);
	case DISCONNECT_KEY:
		return peer->id.kind == PEER_WIREGUARD && key_equal(&peer->id.key, &order->key);
	default:
		return client_name_equal(peers_name_of(peer), &order->name);
	}
}

static void remove_if_meant(void *context, struct peer *peer)
{
	struct disconnection *disconnection = context;
	const struct reply_to reply_to = {.gate = REPLY_TO_OPERATOR, .id = disconnection->number};

	if (!is_meant(peer, &disconnection->order))
		return;
	disconnection->state.n_found++;
	if (removals_add(&disconnection->endpoint->removals, peer, &removal_ordered, &reply_to) < 0)
		disconnection->state.n_failed++;
}

static void free_disconnection(struct disconnection *disconnection)
{
	LIST_REMOVE(disconnection, entry);
	peer_walk_free(&disconnection->walk);
	free(disconnection);
}

static void finish(struct disconnection *disconnection)
{
	const struct disconnect_state *state = &disconnection->state;

	log_info("the operator has disconnected %u clients, of %u", state->n_gone, state->n_found);
	free_disconnection(disconnection);
}

/* At its end, and now and then before: whoever waits must not give up. */
static void go_on(struct disconnection *disconnection)
{
	struct disconnections *disconnections = disconnection->all;
	struct disconnect_state *state = &disconnection->state;
	const uint64_t now_ms = clock_now_ms(disconnections->clock);

	state->is_done =
		!disconnection->endpoint && state->n_gone + state->n_failed == state->n_found;
	if (!state->is_done && now_ms - disconnection->told_ms < TELL_PERIOD_MS)
		return;
	disconnection->told_ms = now_ms;
	disconnections->tell(disconnections->context, disconnection->number, state);
	if (state->is_done)
		finish(disconnection);
}

static struct endpoint *next_open(struct endpoint *endpoint)
{
	while (endpoint && endpoint->state != ENDPOINT_OPEN)
		endpoint = TAILQ_NEXT(endpoint, entry);
	return endpoint;
}

/* An order may be freed by the end of its last walk. */
static void search(struct disconnection *disconnection, struct endpoint *first)
{
	disconnection->endpoint = next_open(first);
	if (disconnection->endpoint)
		peer_walk_begin(&disconnection->walk, disconnection->endpoint);
	else
		go_on(disconnection);
}

static void on_searched(void *context)
{
	struct disconnection *disconnection = context;

	search(disconnection, TAILQ_NEXT(disconnection->endpoint, entry));
}

int disconnections_begin(struct disconnections *disconnections,
	const struct disconnect_order *order, uint64_t number)
{
	struct disconnection *disconnection;

	if (!is_order(order))
		return -EPROTO;
	disconnection = calloc(1, sizeof *disconnection);
	if (!disconnection)
		return -ENOMEM;
	if (peer_walk_init(&disconnection->walk, disconnections->base, remove_if_meant, on_searched,
		    disconnection) < 0) {
		free(disconnection);
		return -ENOMEM;
	}
	disconnection->all = disconnections;
	disconnection->order = *order;
	disconnection->number = number;
	disconnection->told_ms = clock_now_ms(disconnections->clock);
	disconnection->state.version = REPORT_VERSION;
	LIST_INSERT_HEAD(&disconnections->orders, disconnection, entry);
	search(disconnection, TAILQ_FIRST(&disconnections->data_plane->endpoints));
	return 0;
}

void disconnections_answer(
	struct disconnections *disconnections, uint64_t number, enum ipc_status status)
{
	struct disconnection *disconnection;

	LIST_FOREACH(disconnection, &disconnections->orders, entry)
	if (disconnection->number == number)
		break;
	if (!disconnection)
		return;
	if (status == IPC_OK)
		disconnection->state.n_gone++;
	else
		disconnection->state.n_failed++;
	go_on(disconnection);
}

void disconnections_free(struct disconnections *disconnections)
{
	struct disconnection *disconnection;

	while ((disconnection = LIST_FIRST(&disconnections->orders)))
		free_disconnection(disconnection);
}
