/*
 * Makes what was promised and is not there: after a reboot, or when the data plane died with the
 * server. Runs in the broker, when an endpoint is opened, and when a store that was away tells of
 * it.
 */
#include "server/restoration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/handshake_floor.h"
#include "server/owed.h"
#include "server/promised.h"
#include "server/promises.h"

/* The peers to be made; those that were active last come first. */
struct restoration {
	struct owed_round round;
	struct plane_peer *ids;
	size_t n;
};

typedef void make_promised_fn(struct restoration *restoration);

/* What is there holds: the address that was promised to it beside that is nobody's. */
static void agree(struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored)
{
	const struct peer never_made = {.id.inner = stored->inner};

	peers_set_name(&endpoint->peers, peer, &stored->name);
	/* That it cannot be is logged, and tried again: to end a tunnel that works is no better. */
	destinations_confine(endpoint, &stored->name, peer->id.inner);
	if (ipv4_equal(peer->id.inner, stored->inner)) {
		promise_is_kept(endpoint, peer, stored);
		return;
	}
	peer->promise.made_s = (uint32_t)stored->made_s;
	promise_no_more(endpoint, &never_made);
}

/* What has not changed is not written: of 10,000 clients at a restart that is nearly all. */
static void promise_rest(struct endpoint *endpoint)
{
	const uint64_t now_ms = clock_now_ms(endpoint->clock);

	hash_for_each (&endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		if (peer->promise.is_made)
			promise_peer_again(endpoint, peer, now_ms);
		else
			promise_peer(endpoint, peer);
	}
}

static void take(struct restoration *restoration, const struct stored_peer *stored)
{
	struct endpoint *endpoint = restoration->round.endpoint;
	const struct plane_peer id = promised_identity(stored);
	struct peer *peer = peers_find(&endpoint->peers, &id);

	if (peer) {
		agree(endpoint, peer, stored);
		return;
	}
	if (!owed_add(endpoint, stored)) {
		restoration->round.n_failed++;
		return;
	}
	restoration->ids[restoration->n++] = id;
}

/* What is told is all that is stored: a peer that is not among it was promised nothing, or its
 * address was promised to another one since. */
static void promises_are_told(struct endpoint *endpoint)
{
	hash_for_each (&endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		/* What was written of one that is to go is freed with it. */
		if (!peer->removal)
			peer->promise.is_made = false;
	}
}

/* Who was active last is served first, and does not wait until all others are there: the store has
 * them, so that nothing is lost if this process dies meanwhile. */
static void make_now(struct restoration *restoration)
{
	owed_make_now(&restoration->round, restoration->ids, restoration->n);
}

static void keep_promises(
	struct endpoint *endpoint, const struct promised *promised, make_promised_fn *make)
{
	size_t n;
	const struct stored_peer *peers = promised_peers(promised, endpoint->config.bind, &n);
	struct restoration restoration = {.round.endpoint = endpoint};

	handshake_floor_reserve(endpoint);
	promise_endpoint(endpoint);
	promises_are_told(endpoint);
	restoration.ids = n > 0 ? calloc(n, sizeof *restoration.ids) : NULL;
	if (n > 0 && !restoration.ids) {
		log_error("%s: cannot make what was promised: %s", endpoint_text(endpoint).s,
			strerror(ENOMEM));
		return;
	}
	/* Of a peer that was promised two addresses, as the block was another for a while, the last
	 * holds. */
	for (size_t i = n; i-- > 0;)
		take(&restoration, &peers[i]);
	make(&restoration);
	free(restoration.ids);
	promised_order_freed(promised, endpoint->config.bind, endpoint->pool);
	promise_rest(endpoint);
}

void endpoint_keep_promises(struct endpoint *endpoint, const struct promised *promised)
{
	keep_promises(endpoint, promised, make_now);
}

static void make_beside_requests(struct restoration *restoration)
{
	owed_make(restoration->round.endpoint);
}

void endpoint_keep_late_promises(struct endpoint *endpoint, const struct promised *promised)
{
	keep_promises(endpoint, promised, make_beside_requests);
}
