/* Makes orders for the store out of endpoints and peers. Runs in the broker. */
#include "server/promises.h"

#include <time.h>

#include "server/endpoint.h"
#include "server/held_answers.h"
#include "server/name_file.h"
#include "server/store_link.h"

enum {
	MS_PER_S = 1000,
	ACTIVITY_MS = 5 * 60 * 1000, /* between two records of a peer that does nothing but live */
};

void promise_endpoint(const struct endpoint *endpoint)
{
	const struct plane_endpoint *config = &endpoint->config;
	const struct storing_message order = {
		.operation = STORING_PUT_ENDPOINT,
		.endpoint = {.bind = config->bind,
			.network = config->block.address,
			.length = config->block.length,
			.index = config->index,
			.port = config->port,
			.private_key = config->private_key,
			.floor_s = endpoint->floor.reserved_s},
	};

	if (endpoint->store)
		store_link_order(endpoint->store, &order);
}

/* The store counts in the time of day, which a peer's clock is not. */
static uint64_t time_of_day_s(const struct endpoint *endpoint, uint64_t ms)
{
	uint64_t ago_s = (clock_now_ms(endpoint->clock) - ms) / MS_PER_S;
	uint64_t now_s = (uint64_t)time(NULL);

	return ago_s < now_s ? now_s - ago_s : 0;
}

/* Of what was before this server only the store knows: that it has begun is no peer's activity. */
static uint64_t active_s(const struct endpoint *endpoint, const struct peer *peer)
{
	if (peer->promise.is_made && peer->active_ms <= peer->promise.ms)
		return peer->promise.active_s;
	return time_of_day_s(endpoint, peer->active_ms);
}

static struct stored_peer describe(const struct endpoint *endpoint, const struct peer *peer)
{
	const bool is_wireguard = peer->id.kind == PEER_WIREGUARD;
	const bool is_somewhere = peer->usage.outer.value != 0;
	struct stored_peer stored = {
		.bind = endpoint->config.bind,
		.inner = peer->id.inner,
		.kind = is_wireguard ? STORED_WIREGUARD : STORED_IPIP,
		.made_s = peer->promise.made_s,
		.active_s = active_s(endpoint, peer),
		.name = *peers_name_of(peer),
	};

	if (is_wireguard) {
		stored.key = peer->id.key;
		/* One that has not come back yet is still sought where it was. */
		stored.outer = is_somewhere ? peer->usage.outer : peer->promise.outer;
		stored.outer_port =
			is_somewhere ? peer->usage.outer_port : peer->promise.outer_port;
	} else {
		stored.remote = peer->id.remote;
	}
	return stored;
}

void promise_peer(const struct endpoint *endpoint, struct peer *peer)
{
	struct storing_message order = {.operation = STORING_PUT_PEER};

	if (!endpoint->store) {
		name_file_record(endpoint->name_file, endpoint, peer);
		return;
	}
	if (peer->promise.made_s == 0)
		peer->promise.made_s = (uint32_t)time(NULL);
	order.peer = describe(endpoint, peer);
	peer->promise.sequence = store_link_order(endpoint->store, &order);
	peer->promise.is_made = peer->promise.sequence > 0;
	peer->promise.ms = clock_now_ms(endpoint->clock);
	peer->promise.active_s = (uint32_t)order.peer.active_s;
	peer->promise.outer = order.peer.outer;
	peer->promise.outer_port = (uint16_t)order.peer.outer_port;
}

void promise_is_kept(
	const struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored)
{
	peer->promise = (struct peer_promise){
		.is_made = true,
		.made_s = (uint32_t)stored->made_s,
		.ms = clock_now_ms(endpoint->clock),
		.active_s = (uint32_t)stored->active_s,
		.outer = stored->outer,
		.outer_port = (uint16_t)stored->outer_port,
	};
}

void promise_is_known(
	struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored)
{
	promise_is_kept(endpoint, peer, stored);
	peers_set_name(&endpoint->peers, peer, &stored->name);
	peers_set_source(&endpoint->peers, peer,
		peer->id.kind == PEER_IPIP ? stored->remote : stored->outer);
	peer->usage.outer = stored->outer;
	peer->usage.outer_port = (uint16_t)stored->outer_port;
}

void promise_peer_again(const struct endpoint *endpoint, struct peer *peer, uint64_t now_ms)
{
	bool has_moved = peer->id.kind == PEER_WIREGUARD && peer->usage.outer.value != 0 &&
			 (!ipv4_equal(peer->usage.outer, peer->promise.outer) ||
				 peer->usage.outer_port != peer->promise.outer_port);
	bool is_due = peer->active_ms > peer->promise.ms && now_ms - peer->promise.ms > ACTIVITY_MS;

	/* One that is to go is no more than what is written of it. */
	if (endpoint->store && !peer->removal && (has_moved || is_due))
		promise_peer(endpoint, peer);
}

static uint64_t order_about(
	const struct endpoint *endpoint, enum storing_operation operation, struct ipv4 inner)
{
	const struct storing_message order = {
		.operation = operation, .peer = {.bind = endpoint->config.bind, .inner = inner}};

	return endpoint->store ? store_link_order(endpoint->store, &order) : 0;
}

uint64_t promise_no_more(const struct endpoint *endpoint, const struct peer *peer)
{
	return order_about(endpoint, STORING_FREE_ADDRESS, peer->id.inner);
}

void promise_answer(const struct endpoint *endpoint, const struct reply_to *to, struct ipv4 address,
	uint64_t sequence)
{
	if (sequence > 0 && endpoint->held)
		held_answers_add(endpoint->held, to, address, sequence);
	else
		endpoint->answer(endpoint->answer_context, to, IPC_OK, address);
}

void promise_nobody(const struct endpoint *endpoint)
{
	order_about(endpoint, STORING_FREE_ALL, (struct ipv4){0});
}
