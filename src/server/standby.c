/* Keeps ready what another host serves, and takes it over. Runs in the broker. */
#include "server/standby.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/adoption.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/give_back.h"
#include "server/handshake_floor.h"
#include "server/heal.h"
#include "server/owed.h"
#include "server/promised.h"
#include "server/promises.h"

static void drop(struct endpoint *endpoint, struct peer *peer)
{
	pool_release(endpoint->pool, peer->id.inner);
	peers_remove(&endpoint->peers, peer);
}

int standby_open(struct endpoint *endpoint, struct event_base *base)
{
	struct store_link *store = endpoint->store;
	int error;

	endpoint->config.is_standby = true;
	/* What is promised is the other host's to tell. */
	endpoint->store = NULL;
	error = endpoint_open(endpoint, base);
	endpoint->store = store;
	if (error < 0) {
		endpoint_close(endpoint, false);
		endpoint->config.is_standby = false;
		return error;
	}
	endpoint->state = ENDPOINT_STANDBY;
	log_info("%s: another host serves it; %s is ready for when this host gets the address",
		endpoint_text(endpoint).s, plane_device_name(endpoint->config.index).s);
	return 0;
}

/* What has changed */

/* Inner addresses that are told of, and who has each now. */
struct told {
	struct ipv4 inner;
	const struct stored_peer *stored; /* NULL: nobody */
};

struct update {
	struct endpoint *endpoint;
	struct told *told; /* by address */
	size_t n_told;
	bool is_all;
	struct peer **gone;
	size_t n_gone;
};

static int compare_told(const void *a, const void *b)
{
	const struct told *first = a, *second = b;

	return (first->inner.value > second->inner.value) -
	       (first->inner.value < second->inner.value);
}

static int gather_told(struct update *update, const struct promised *promised)
{
	const struct ipv4 bind = update->endpoint->config.bind;
	size_t n_peers, n_freed;
	const struct stored_peer *peers = promised_peers(promised, bind, &n_peers);
	const struct stored_peer *freed = promised_freed(promised, bind, &n_freed);

	update->told = calloc(n_peers + n_freed + 1, sizeof *update->told);
	update->gone = calloc(peers_count(&update->endpoint->peers) + 1, sizeof *update->gone);
	if (!update->told || !update->gone)
		return -ENOMEM;
	for (size_t i = 0; i < n_peers; i++)
		update->told[update->n_told++] = (struct told){peers[i].inner, &peers[i]};
	for (size_t i = 0; i < n_freed; i++)
		update->told[update->n_told++] = (struct told){freed[i].inner, NULL};
	qsort(update->told, update->n_told, sizeof *update->told, compare_told);
	return 0;
}

static bool is_same(const struct plane_peer *id, const struct stored_peer *stored)
{
	const struct plane_peer other = promised_identity(stored);

	return id->kind == other.kind &&
	       (id->kind == PEER_WIREGUARD ? key_equal(&id->key, &other.key)
					   : ipv4_equal(id->remote, other.remote));
}

static bool is_gone(const struct update *update, const struct peer *peer)
{
	const struct told wanted = {.inner = peer->id.inner};
	const struct told *told =
		bsearch(&wanted, update->told, update->n_told, sizeof wanted, compare_told);

	if (!told)
		return update->is_all;
	return !told->stored || !is_same(&peer->id, told->stored);
}

static void find_gone(struct update *update)
{
	hash_for_each (&update->endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		if (is_gone(update, peer))
			update->gone[update->n_gone++] = peer;
	}
}

/* What a plane has not made is gone to it as well. Returns whether they are gone for certain. */
static bool remove_from_plane(struct endpoint *endpoint, struct peer *const *peers, size_t n)
{
	struct plane_peer ids[PLANE_REMOVAL_BATCH];
	int errors[PLANE_REMOVAL_BATCH];
	int error;

	/* With the device they are gone; a new one is not given them. */
	if (!endpoint->device)
		return true;
	for (size_t i = 0; i < n; i++)
		ids[i] = peers[i]->id;
	error = endpoint->plane->ops->remove(endpoint->device, ids, n, errors);
	if (error < 0)
		log_error("%s: cannot remove peers that are promised nothing any more: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	return error == 0;
}

/* Those that stay in the plane must not stay without a word of them here: they keep their place,
 * and the next telling of all tries it again. */
static void remove_gone(struct update *update)
{
	for (size_t done = 0; done < update->n_gone; done += PLANE_REMOVAL_BATCH) {
		size_t left = update->n_gone - done,
		       n = left < PLANE_REMOVAL_BATCH ? left : PLANE_REMOVAL_BATCH;

		if (!remove_from_plane(update->endpoint, update->gone + done, n))
			continue;
		for (size_t i = 0; i < n; i++)
			drop(update->endpoint, update->gone[done + i]);
	}
}

/* One that has another address now was at the former one until now. */
static void move_out(struct endpoint *endpoint, struct peer *peer)
{
	if (remove_from_plane(endpoint, &peer, 1))
		drop(endpoint, peer);
}

static void add(struct endpoint *endpoint, const struct stored_peer *stored)
{
	const struct plane_peer id = promised_identity(stored);
	struct peer *peer = peers_find(&endpoint->peers, &id);

	if (peer && !ipv4_equal(peer->id.inner, stored->inner)) {
		move_out(endpoint, peer);
		peer = peers_find(&endpoint->peers, &id);
	}
	if (!peer) {
		owed_add(endpoint, stored);
		return;
	}
	/* It may have another name than it had. */
	destinations_confine(endpoint, &stored->name, stored->inner);
	promise_is_known(endpoint, peer, stored);
}

/* Of a peer that was promised two addresses the last holds. */
static void add_all(struct endpoint *endpoint, const struct promised *promised)
{
	size_t n;
	const struct stored_peer *peers = promised_peers(promised, endpoint->config.bind, &n);

	for (size_t i = 0; i < n; i++)
		add(endpoint, &peers[i]);
}

void standby_update(struct endpoint *endpoint, const struct promised *promised, bool is_all)
{
	struct update update = {.endpoint = endpoint, .is_all = is_all};

	if (gather_told(&update, promised) == 0) {
		find_gone(&update);
		remove_gone(&update);
		add_all(endpoint, promised);
		promised_order_freed(promised, endpoint->config.bind, endpoint->pool);
	} else {
		log_error("%s: cannot make ready what has changed: %s", endpoint_text(endpoint).s,
			strerror(ENOMEM));
	}
	free(update.told);
	free(update.gone);
	owed_make(endpoint);
}

/* Taking over */

/* Those that are made later shake hands then. */
static bool is_made(const struct endpoint *endpoint, const struct peer *peer)
{
	(void)endpoint;
	return !peer->is_owed;
}

/* Who was active last at the host that served it comes first. */
static int compare_activity(const void *a, const void *b)
{
	const struct peer *const *first = a, *const *second = b;
	uint64_t x = (*first)->promise.active_s, y = (*second)->promise.active_s;

	return (x < y) - (x > y);
}

/* Nobody could give this host a sign of life before. */
static void begin_time(struct endpoint *endpoint)
{
	const uint64_t now_ms = clock_now_ms(endpoint->clock);

	hash_for_each (&endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		peer->connected_ms = peer->active_ms = peer->promise.ms = now_ms;
		peer->heard_ms = now_ms;
	}
	endpoint->read_ms = now_ms;
}

static int serve(struct endpoint *endpoint)
{
	const struct plane_ops *ops = endpoint->plane->ops;
	int error = endpoint->device ? ops->serve(endpoint->device, endpoint->config.floor_ns)
				     : -ENODEV;

	return error < 0 ? error : give_back_in_order(endpoint, is_made, compare_activity);
}

void standby_take_over(
	struct endpoint *endpoint, const struct promised *promised, struct event_base *base)
{
	uint64_t reserved_s = promised_floor_s(promised, &endpoint->config.private_key);

	endpoint->config.is_standby = false;
	endpoint->state = ENDPOINT_OPEN;
	if (handshake_floor_init(&endpoint->floor, endpoint, reserved_s, base) < 0)
		log_error("%s: timestamps of its handshakes are not kept ahead: %s",
			endpoint_text(endpoint).s, strerror(ENOMEM));
	handshake_floor_prepare(endpoint);
	begin_time(endpoint);
	if (serve(endpoint) < 0)
		endpoint_heal(endpoint);
	else
		owed_make(endpoint);
	handshake_floor_reserve(endpoint);
	promise_endpoint(endpoint);
	log_info("%s: %s, block %s, WireGuard on UDP port %u, with %zu peers that were ready",
		endpoint_text(endpoint).s, plane_device_name(endpoint->config.index).s,
		prefix_text(endpoint->config.block).s, endpoint->config.port,
		peers_count(&endpoint->peers));
}
