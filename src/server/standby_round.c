/* What another host has told is made ready, a slice at a time. Runs in the broker, by a timer
 * between other events. */
#include "server/standby_round.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "server/destinations.h"
#include "server/owed.h"
#include "server/peer_walk.h"
#include "server/promised.h"
#include "server/promises.h"

/* In their order. Where all was told, who is among it is marked (by peer_promise.is_made), and who
 * has no mark is gone. */
enum standby_step {
	STEP_UNMARK,
	STEP_MARK,
	STEP_FIND_GONE,
	STEP_REMOVE,
	STEP_ADD,
	STEP_END,
};

/* An inner address that was told of, and who has it now. */
struct told_address {
	struct ipv4 inner;
	const struct stored_peer *stored; /* NULL: nobody */
};

static void forget(struct standby_round *round)
{
	if (round->told)
		promised_free(round->told);
	free(round->told);
	free(round->addresses);
	free(round->gone);
	round->told = NULL;
	round->addresses = NULL;
	round->gone = NULL;
	round->n_addresses = round->n_gone = 0;
}

static const struct stored_peer *told_peers(const struct standby_round *round, size_t *n)
{
	return promised_peers(round->told, round->endpoint->config.bind, n);
}

/* What has changed */

static int compare_told(const void *a, const void *b)
{
	const struct told_address *first = a, *second = b;

	return (first->inner.value > second->inner.value) -
	       (first->inner.value < second->inner.value);
}

static int gather_addresses(struct standby_round *round)
{
	size_t n_peers, n_freed;
	const struct stored_peer *peers = told_peers(round, &n_peers);
	const struct stored_peer *freed =
		promised_freed(round->told, round->endpoint->config.bind, &n_freed);

	round->addresses = calloc(n_peers + n_freed + 1, sizeof *round->addresses);
	if (!round->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < n_peers; i++)
		round->addresses[round->n_addresses++] =
			(struct told_address){peers[i].inner, &peers[i]};
	for (size_t i = 0; i < n_freed; i++)
		round->addresses[round->n_addresses++] =
			(struct told_address){freed[i].inner, NULL};
	qsort(round->addresses, round->n_addresses, sizeof *round->addresses, compare_told);
	return 0;
}

static bool is_same(const struct plane_peer *id, const struct stored_peer *stored)
{
	const struct plane_peer other = promised_identity(stored);

	return id->kind == other.kind &&
	       (id->kind == PEER_WIREGUARD ? key_equal(&id->key, &other.key)
					   : ipv4_equal(id->remote, other.remote));
}

static bool is_gone(const struct standby_round *round, const struct peer *peer)
{
	const struct told_address wanted = {.inner = peer->id.inner};
	const struct told_address *told;

	if (!round->addresses)
		return !peer->promise.is_made;
	told = bsearch(&wanted, round->addresses, round->n_addresses, sizeof wanted, compare_told);
	return told && (!told->stored || !is_same(&peer->id, told->stored));
}

/* Peers */

static void drop(struct endpoint *endpoint, struct peer *peer)
{
	pool_release(endpoint->pool, peer->id.inner);
	peers_remove(&endpoint->peers, peer);
}

/* What a plane has not made is gone to it as well. Returns whether they are gone for certain. */
static bool remove_from_plane(struct endpoint *endpoint, const struct plane_peer *ids, size_t n)
{
	int errors[PLANE_REMOVAL_BATCH];
	int error;

	/* With the device they are gone; a new one is not given them. */
	if (!endpoint->device)
		return true;
	error = endpoint->plane->ops->remove(endpoint->device, ids, n, errors);
	if (error < 0)
		log_error("%s: cannot remove peers that are promised nothing any more: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	return error == 0;
}

/* One that has another address now was at the former one until now. */
static void move_out(struct endpoint *endpoint, struct peer *peer)
{
	const struct plane_peer id = peer->id;

	if (remove_from_plane(endpoint, &id, 1))
		drop(endpoint, peer);
}

static void know(struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored)
{
	/* It may have another name than it had. */
	destinations_confine(endpoint, &stored->name, stored->inner);
	promise_is_known(endpoint, peer, stored);
}

static void mark(struct endpoint *endpoint, const struct stored_peer *stored)
{
	const struct plane_peer id = promised_identity(stored);
	struct peer *peer = peers_find(&endpoint->peers, &id);

	if (peer && ipv4_equal(peer->id.inner, stored->inner))
		know(endpoint, peer, stored);
}

static void add(struct endpoint *endpoint, const struct stored_peer *stored)
{
	const struct plane_peer id = promised_identity(stored);
	struct peer *peer = peers_find(&endpoint->peers, &id);

	if (peer && !ipv4_equal(peer->id.inner, stored->inner)) {
		move_out(endpoint, peer);
		peer = peers_find(&endpoint->peers, &id);
	}
	if (!peer)
		owed_add(endpoint, stored);
	else
		know(endpoint, peer, stored);
}

/* Steps: each goes on a little, and returns whether there is more of it. */

static struct hash_node *next_bucket(struct standby_round *round)
{
	return hash_walk_next(&round->endpoint->peers.table, &round->at);
}

static bool unmark_some(struct standby_round *round)
{
	for (struct hash_node *node = next_bucket(round); node; node = node->next)
		hash_entry(node, struct peer, node)->promise.is_made = false;
	return !round->at.is_over;
}

/* Of a peer that was promised two addresses the last holds. */
static bool go_through_told(struct standby_round *round,
	void (*fn)(struct endpoint *endpoint, const struct stored_peer *stored))
{
	size_t n;
	const struct stored_peer *peers = told_peers(round, &n);

	if (round->next < n)
		fn(round->endpoint, &peers[round->next++]);
	return round->next < n;
}

static void note_gone(struct standby_round *round, const struct peer *peer)
{
	struct plane_peer *gone = array_grow(round->gone, round->n_gone, sizeof *gone);

	/* The next telling of all tries it again. */
	if (!gone)
		return;
	round->gone = gone;
	gone[round->n_gone++] = peer->id;
}

static bool find_some_gone(struct standby_round *round)
{
	for (struct hash_node *node = next_bucket(round); node; node = node->next) {
		const struct peer *peer = hash_entry(node, struct peer, node);

		if (is_gone(round, peer))
			note_gone(round, peer);
	}
	return !round->at.is_over;
}

/* Those that stay in the plane must not stay without a word of them here: they keep their place,
 * and the next telling of all tries it again. */
static bool remove_some(struct standby_round *round)
{
	struct endpoint *endpoint = round->endpoint;
	const struct plane_peer *ids = round->gone + round->next;
	const size_t left = round->n_gone - round->next,
		     n = left < PLANE_REMOVAL_BATCH ? left : PLANE_REMOVAL_BATCH;

	if (n > 0 && remove_from_plane(endpoint, ids, n)) {
		for (size_t i = 0; i < n; i++) {
			struct peer *peer = peers_find(&endpoint->peers, &ids[i]);

			if (peer)
				drop(endpoint, peer);
		}
	}
	round->next += n;
	return round->next < round->n_gone;
}

static bool go_on_with_step(struct standby_round *round)
{
	switch ((enum standby_step)round->step) {
	case STEP_UNMARK:
		return unmark_some(round);
	case STEP_MARK:
		return go_through_told(round, mark);
	case STEP_FIND_GONE:
		return find_some_gone(round);
	case STEP_REMOVE:
		return remove_some(round);
	case STEP_ADD:
		return go_through_told(round, add);
	case STEP_END:
		break;
	}
	return false;
}

static void begin_step(struct standby_round *round, enum standby_step step)
{
	round->step = (int)step;
	round->next = 0;
	round->at = (struct hash_walk){0};
}

static void end(struct standby_round *round)
{
	struct endpoint *endpoint = round->endpoint;

	promised_order_freed(round->told, endpoint->config.bind, endpoint->pool);
	forget(round);
	owed_make(endpoint);
}

/* Returns whether there is more to be done. */
static bool go_on(struct standby_round *round)
{
	if (!go_on_with_step(round))
		begin_step(round, (enum standby_step)round->step + 1);
	if (round->step != STEP_END)
		return true;
	end(round);
	return false;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval at_once;
	struct standby_round *round = context;
	const uint64_t end_ms = clock_now_ms(&system_clock) + PEER_WALK_SLICE_MS;

	(void)fd;
	(void)what;
	while (go_on(round))
		if (clock_now_ms(&system_clock) >= end_ms) {
			event_add(round->timer, &at_once);
			return;
		}
}

int standby_round_init(
	struct standby_round *round, struct endpoint *endpoint, struct event_base *base)
{
	*round = (struct standby_round){.endpoint = endpoint};
	if (!base)
		return 0;
	round->timer = evtimer_new(base, on_timer, round);
	return round->timer ? 0 : -ENOMEM;
}

void standby_round_free(struct standby_round *round)
{
	free_event(round->timer);
	forget(round);
	*round = (struct standby_round){0};
}

void standby_round_finish(struct standby_round *round)
{
	if (!round->told)
		return;
	if (round->timer)
		event_del(round->timer);
	while (go_on(round))
		;
}

static int take_told(struct standby_round *round, struct promised *promised, bool is_all)
{
	int error;

	round->told = calloc(1, sizeof *round->told);
	if (!round->told)
		return -ENOMEM;
	error = promised_take(promised, round->endpoint->config.bind, round->told);
	return error < 0 || is_all ? error : gather_addresses(round);
}

void standby_round_begin(struct standby_round *round, struct promised *promised, bool is_all)
{
	static const struct timeval at_once;

	standby_round_finish(round);
	if (take_told(round, promised, is_all) < 0) {
		log_error("%s: cannot make ready what has changed: %s",
			endpoint_text(round->endpoint).s, strerror(ENOMEM));
		forget(round);
		return;
	}
	begin_step(round, is_all ? STEP_UNMARK : STEP_FIND_GONE);
	if (round->timer)
		event_add(round->timer, &at_once);
	else
		standby_round_finish(round);
}
