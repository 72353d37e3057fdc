/*
 * Makes what was promised and is not there: after a reboot, or when the data plane died with the
 * server. Runs in the broker, at its start.
 */
#include "server/restoration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/endpoint.h"
#include "server/promised.h"
#include "server/promises.h"

/* The peers to be made; those that were active last come first. */
struct restoration {
	struct endpoint *endpoint;
	struct peer **peers;
	size_t n, n_failed;
};

static struct plane_peer identity_of(const struct stored_peer *stored)
{
	return (struct plane_peer){
		.kind = stored->kind == STORED_WIREGUARD ? PEER_WIREGUARD : PEER_IPIP,
		.inner = stored->inner,
		.key = stored->key,
		.remote = stored->remote,
	};
}

static void remember(struct peer *peer, const struct stored_peer *stored)
{
	peer->made_s = stored->made_s;
	peer->usage.outer = stored->outer;
	peer->usage.outer_port = (uint16_t)stored->outer_port;
}

/* What is there holds: the address that was promised to it beside that is nobody's. */
static void agree(struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored)
{
	const struct peer never_made = {.id.inner = stored->inner};

	peer->made_s = stored->made_s;
	if (!ipv4_equal(peer->id.inner, stored->inner))
		promise_no_more(endpoint, &never_made);
}

static void take(struct restoration *restoration, const struct stored_peer *stored)
{
	struct endpoint *endpoint = restoration->endpoint;
	const struct plane_peer id = identity_of(stored);
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
	peer = peers_add(&endpoint->peers, &id, clock_now_ms(endpoint->clock));
	if (!peer) {
		pool_release(endpoint->pool, stored->inner);
		restoration->n_failed++;
		return;
	}
	remember(peer, stored);
	peers_set_source(
		&endpoint->peers, peer, id.kind == PEER_IPIP ? stored->remote : stored->outer);
	restoration->peers[restoration->n++] = peer;
}

static void give_up(struct restoration *restoration, size_t i)
{
	struct endpoint *endpoint = restoration->endpoint;
	struct peer *peer = restoration->peers[i];

	log_error("%s: cannot make the tunnel of %s again: %s", endpoint_text(endpoint).s,
		peer_text(&peer->id).s, plane_error(endpoint->plane));
	promise_no_more(endpoint, peer);
	pool_release(endpoint->pool, peer->id.inner);
	peers_remove(&endpoint->peers, peer);
	restoration->peers[i] = NULL;
	restoration->n_failed++;
}

/* It has gone, or does not answer: it may have made the tunnel all the same, and says nothing of
 * the next one either. */
static bool is_lost(int error)
{
	return error == -ENODEV || error == -ETIMEDOUT;
}

/* All in one go, or each by itself where one of them cannot be made. Returns 0, or why no other is
 * to be tried: then they keep their addresses, and are given to the device when it is back. */
static int make_batch(struct restoration *restoration, size_t first, size_t n)
{
	const struct endpoint *endpoint = restoration->endpoint;
	const struct plane_ops *ops = endpoint->plane->ops;
	struct plane_peer ids[PLANE_ADD_BATCH];
	int error;

	for (size_t i = 0; i < n; i++)
		ids[i] = restoration->peers[first + i]->id;
	error = ops->add_many(endpoint->device, ids, n);
	if (error == 0 || is_lost(error))
		return error;
	for (size_t i = 0; i < n; i++) {
		error = ops->add(endpoint->device, &ids[i]);
		if (is_lost(error))
			return error;
		if (error < 0)
			give_up(restoration, first + i);
	}
	return 0;
}

static int make_all(struct restoration *restoration)
{
	int error = 0;

	for (size_t done = 0; done < restoration->n && error == 0; done += PLANE_ADD_BATCH) {
		size_t left = restoration->n - done;

		error = make_batch(
			restoration, done, left < PLANE_ADD_BATCH ? left : PLANE_ADD_BATCH);
	}
	return error;
}

/* The clients would not notice for a while that there is a new session to be had; who was active
 * last is asked first. */
static void shake_hands(struct restoration *restoration)
{
	const struct endpoint *endpoint = restoration->endpoint;

	for (size_t i = 0; i < restoration->n; i++) {
		const struct peer *peer = restoration->peers[i];

		if (peer && endpoint->plane->ops->restore_endpoint(
				    endpoint->device, &peer->id, &peer->usage) < 0)
			log_warning("%s: %s is not asked for a new session, and comes back when it "
				    "notices: %s",
				endpoint_text(endpoint).s, peer_text(&peer->id).s,
				plane_error(endpoint->plane));
	}
}

static void keep_order_of_freed(struct endpoint *endpoint, const struct promised *promised)
{
	size_t n;
	const struct stored_peer *freed = promised_freed(promised, endpoint->config.bind, &n);

	for (size_t i = 0; i < n; i++)
		if (pool_claim(endpoint->pool, freed[i].inner) == 0)
			pool_release(endpoint->pool, freed[i].inner);
}

void endpoint_keep_promises(struct endpoint *endpoint, const struct promised *promised)
{
	size_t n;
	const struct stored_peer *peers = promised_peers(promised, endpoint->config.bind, &n);
	struct restoration restoration = {.endpoint = endpoint};

	promise_endpoint(endpoint);
	restoration.peers = n > 0 ? calloc(n, sizeof(struct peer *)) : NULL;
	if (n > 0 && !restoration.peers) {
		log_error("%s: cannot make what was promised: %s", endpoint_text(endpoint).s,
			strerror(ENOMEM));
		return;
	}
	/* Of a peer that was promised two addresses, as the block was another for a while, the last
	 * holds. */
	for (size_t i = n; i-- > 0;)
		take(&restoration, &peers[i]);
	if (make_all(&restoration) == 0)
		shake_hands(&restoration);
	else
		log_error("%s: it was lost when what was promised was made again: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	if (restoration.n > 0 || restoration.n_failed > 0)
		log_info("%s: %zu peers that were not there any more have their tunnels again, %zu "
			 "could not have theirs",
			endpoint_text(endpoint).s, restoration.n, restoration.n_failed);
	free(restoration.peers);
	keep_order_of_freed(endpoint, promised);
	hash_for_each (&endpoint->peers.table, node)
		promise_peer(endpoint, hash_entry(node, struct peer, node));
}
