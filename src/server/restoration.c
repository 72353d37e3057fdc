/*
 * Makes what was promised and is not there: after a reboot, or when the data plane died with the
 * server. Runs in the broker, at its start and at each inspection.
 */
#include "server/restoration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/give_back.h"
#include "server/handshake_floor.h"
#include "server/owed.h"
#include "server/promised.h"
#include "server/promises.h"
#include "server/removals.h"

/* The peers to be made; those that were active last come first. */
struct restoration {
	struct endpoint *endpoint;
	struct plane_peer *ids;
	size_t n, n_given, n_failed;
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
	peer->made_s = stored->made_s;
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
	struct endpoint *endpoint = restoration->endpoint;
	const struct plane_peer id = promised_identity(stored);
	struct peer *peer = peers_find(&endpoint->peers, &id);

	if (peer) {
		agree(endpoint, peer, stored);
		return;
	}
	/* Held by another that is there, or of a block that is none now. */
	if (pool_claim(endpoint->pool, stored->inner) < 0) {
		restoration->n_failed++;
		return;
	}
	if (destinations_confine(endpoint, &stored->name, stored->inner) < 0) {
		pool_release(endpoint->pool, stored->inner);
		restoration->n_failed++;
		return;
	}
	peer = peers_add(&endpoint->peers, &id, clock_now_ms(endpoint->clock));
	if (!peer) {
		pool_release(endpoint->pool, stored->inner);
		restoration->n_failed++;
		return;
	}
	promise_is_known(endpoint, peer, stored);
	peers_set_owed(&endpoint->peers, peer, true);
	peers_set_source(
		&endpoint->peers, peer, id.kind == PEER_IPIP ? stored->remote : stored->outer);
	restoration->ids[restoration->n++] = id;
}

/* A device that is lost may have made it all the same: then it keeps its address, and is owed. */
static void give_up(void *context, const struct plane_peer *id, int error)
{
	struct restoration *restoration = context;
	struct endpoint *endpoint = restoration->endpoint;
	struct peer *peer = peers_find(&endpoint->peers, id);

	if (device_is_lost(error))
		return;
	log_error("%s: cannot make the tunnel of %s again: %s", endpoint_text(endpoint).s,
		peer_text(id).s, plane_error(endpoint->plane));
	removals_forget(endpoint, peer, removal_unmade.text);
	restoration->n_failed++;
}

/* The clients would not notice for a while that there is a new session to be had. Some may just
 * have been given up. */
static int shake_hands(struct endpoint *endpoint, const struct plane_peer *ids, size_t n)
{
	const struct peer *peers[PLANE_ADD_BATCH];
	size_t n_peers = 0;

	for (size_t i = 0; i < n; i++) {
		peers[n_peers] = peers_find(&endpoint->peers, &ids[i]);
		n_peers += peers[n_peers] != NULL;
	}
	return give_back_sessions(endpoint, peers, n_peers);
}

static void settle(struct endpoint *endpoint, const struct plane_peer *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct peer *peer = peers_find(&endpoint->peers, &ids[i]);

		if (!peer)
			continue;
		peers_set_owed(&endpoint->peers, peer, false);
		peer->last_reading = endpoint->reading;
	}
}

/*
 * Who was active last is served first, and does not wait until all others are there: the store has
 * them, so that nothing is lost if this process dies meanwhile. Returns 0, or why the device is
 * lost.
 */
static int make_all(struct restoration *restoration)
{
	const struct plane_peer *ids = restoration->ids;
	/* What comes late may find a device that is lost, and not made again yet. */
	int error = restoration->endpoint->device ? 0 : -ENODEV;

	for (size_t done = 0; done < restoration->n && error == 0; done += PLANE_ADD_BATCH) {
		size_t left = restoration->n - done,
		       n = left < PLANE_ADD_BATCH ? left : PLANE_ADD_BATCH;

		error = give_back_peers(restoration->endpoint, ids + done, n, &restoration->n_given,
			give_up, restoration);
		if (error == 0)
			settle(restoration->endpoint, ids + done, n);
		if (error == 0)
			error = shake_hands(restoration->endpoint, ids + done, n);
	}
	return error;
}

/* What is told is all that is stored: a peer that is not among it was promised nothing, or its
 * address was promised to another one since. */
static void promises_are_told(struct endpoint *endpoint)
{
	hash_for_each (&endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		/* What was written of one that is to go is freed with it. */
		if (!peer->removal_reason)
			peer->promise.is_made = false;
	}
}

static void make_and_tell(struct restoration *restoration)
{
	struct endpoint *endpoint = restoration->endpoint;

	if (make_all(restoration) < 0)
		log_error("%s: it was lost when what was promised was made again, will try again: "
			  "%s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	endpoint->counts[REPORT_COUNTED_RESTORED] += restoration->n_given;
	if (restoration->n > 0 || restoration->n_failed > 0)
		log_info("%s: %zu peers that were not there any more have their tunnels again, %zu "
			 "could not have theirs",
			endpoint_text(endpoint).s, restoration->n_given, restoration->n_failed);
}

static void keep_promises(
	struct endpoint *endpoint, const struct promised *promised, make_promised_fn *make)
{
	size_t n;
	const struct stored_peer *peers = promised_peers(promised, endpoint->config.bind, &n);
	struct restoration restoration = {.endpoint = endpoint};

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
	keep_promises(endpoint, promised, make_and_tell);
}

static void make_beside_requests(struct restoration *restoration)
{
	owed_make(restoration->endpoint);
}

void endpoint_keep_late_promises(struct endpoint *endpoint, const struct promised *promised)
{
	keep_promises(endpoint, promised, make_beside_requests);
}
