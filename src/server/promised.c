/* Keeps what the store has said until the endpoints are open. Runs in the broker, at its start. */
#include "server/promised.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "server/pool.h"

static int add_endpoint(struct promised *promised, const struct stored_endpoint *endpoint)
{
	struct stored_endpoint *grown;

	for (size_t i = 0; i < promised->n_endpoints; i++)
		if (ipv4_equal(promised->endpoints[i].bind, endpoint->bind)) {
			promised->endpoints[i] = *endpoint;
			return 0;
		}
	grown = array_grow(promised->endpoints, promised->n_endpoints, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	promised->endpoints = grown;
	grown[promised->n_endpoints++] = *endpoint;
	return 0;
}

static int add_peer(struct stored_peer **peers, size_t *n, const struct stored_peer *peer)
{
	struct stored_peer *grown = array_grow(*peers, *n, sizeof *grown);

	if (!grown)
		return -ENOMEM;
	*peers = grown;
	grown[(*n)++] = *peer;
	return 0;
}

struct plane_peer promised_identity(const struct stored_peer *stored)
{
	return (struct plane_peer){
		.kind = stored->kind == STORED_WIREGUARD ? PEER_WIREGUARD : PEER_IPIP,
		.inner = stored->inner,
		.key = stored->key,
		.remote = stored->remote,
	};
}

int promised_add(struct promised *promised, const struct storing_message *record)
{
	switch (record->operation) {
	case STORING_ENDPOINT:
		return add_endpoint(promised, &record->endpoint);
	case STORING_PEER:
		return add_peer(&promised->peers, &promised->n_peers, &record->peer);
	case STORING_FREED:
		/* Its place in the order of all. */
		return add_peer(&promised->freed, &promised->n_freed,
			&(struct stored_peer){.bind = record->peer.bind,
				.inner = record->peer.inner,
				.active_s = promised->n_told++});
	default:
		return 0;
	}
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* In one endpoint: of the freed ones by their place; of peers, those that were active last come
 * last. */
static int compare_peers(const void *a, const void *b)
{
	const struct stored_peer *first = a, *second = b;
	int by_bind = compare(first->bind.value, second->bind.value);

	return by_bind != 0 ? by_bind : compare(first->active_s, second->active_s);
}

static bool are_sorted(const struct stored_peer *peers, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (compare_peers(&peers[i - 1], &peers[i]) > 0)
			return false;
	return true;
}

/* The store tells them of one endpoint in this order; to sort 50,000 takes 10 ms. */
static void sort(struct stored_peer *peers, size_t n)
{
	if (!are_sorted(peers, n))
		qsort(peers, n, sizeof *peers, compare_peers);
}

void promised_sort(struct promised *promised)
{
	sort(promised->peers, promised->n_peers);
	sort(promised->freed, promised->n_freed);
}

const struct stored_endpoint *promised_endpoint(const struct promised *promised, struct ipv4 bind)
{
	for (size_t i = 0; i < promised->n_endpoints; i++)
		if (ipv4_equal(promised->endpoints[i].bind, bind))
			return &promised->endpoints[i];
	return NULL;
}

uint64_t promised_floor_s(const struct promised *promised, const struct key *private_key)
{
	uint64_t floor_s = 0;

	for (size_t i = 0; i < promised->n_endpoints; i++) {
		const struct stored_endpoint *stored = &promised->endpoints[i];

		if (key_equal(&stored->private_key, private_key) && stored->floor_s > floor_s)
			floor_s = stored->floor_s;
	}
	return floor_s;
}

static size_t lower_bound(const struct stored_peer *peers, size_t n, uint64_t bind)
{
	size_t first = 0;

	while (n > 0) {
		size_t half = n / 2;

		if (peers[first + half].bind.value < bind) {
			first += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return first;
}

static const struct stored_peer *of_endpoint(
	const struct stored_peer *peers, size_t n_all, struct ipv4 bind, size_t *n)
{
	size_t first = lower_bound(peers, n_all, bind.value);

	*n = lower_bound(peers, n_all, (uint64_t)bind.value + 1) - first;
	return *n > 0 ? peers + first : NULL;
}

const struct stored_peer *promised_peers(
	const struct promised *promised, struct ipv4 bind, size_t *n)
{
	return of_endpoint(promised->peers, promised->n_peers, bind, n);
}

const struct stored_peer *promised_freed(
	const struct promised *promised, struct ipv4 bind, size_t *n)
{
	return of_endpoint(promised->freed, promised->n_freed, bind, n);
}

void promised_order_freed(const struct promised *promised, struct ipv4 bind, struct pool *pool)
{
	size_t n;
	const struct stored_peer *freed = promised_freed(promised, bind, &n);

	for (size_t i = 0; i < n; i++)
		if (pool_claim(pool, freed[i].inner) == 0)
			pool_release(pool, freed[i].inner);
}

/* Their order stays. */
static size_t remove_peers(struct stored_peer *peers, size_t n, struct ipv4 bind)
{
	size_t n_left = 0;

	for (size_t i = 0; i < n; i++)
		if (!ipv4_equal(peers[i].bind, bind))
			peers[n_left++] = peers[i];
	return n_left;
}

void promised_forget(struct promised *promised, struct ipv4 bind)
{
	promised->n_peers = remove_peers(promised->peers, promised->n_peers, bind);
	promised->n_freed = remove_peers(promised->freed, promised->n_freed, bind);
}

/* Returns 0 or -ENOMEM; then it has taken nothing. */
static int take_peers(struct stored_peer **peers, size_t *n, struct ipv4 bind,
	struct stored_peer **taken, size_t *n_taken)
{
	const struct stored_peer *of_bind = of_endpoint(*peers, *n, bind, n_taken);

	*taken = NULL;
	if (*n_taken == *n) {
		*taken = *peers;
		*peers = NULL;
		*n = 0;
		return 0;
	}
	if (*n_taken == 0)
		return 0;
	*taken = malloc(*n_taken * sizeof **taken);
	if (!*taken)
		return -ENOMEM;
	memcpy(*taken, of_bind, *n_taken * sizeof **taken);
	*n = remove_peers(*peers, *n, bind);
	return 0;
}

int promised_take(struct promised *promised, struct ipv4 bind, struct promised *taken)
{
	int error;

	*taken = (struct promised){0};
	error = take_peers(
		&promised->peers, &promised->n_peers, bind, &taken->peers, &taken->n_peers);
	if (error == 0)
		error = take_peers(
			&promised->freed, &promised->n_freed, bind, &taken->freed, &taken->n_freed);
	if (error < 0)
		promised_free(taken);
	return error;
}

void promised_free(struct promised *promised)
{
	if (promised->endpoints)
		explicit_bzero(
			promised->endpoints, promised->n_endpoints * sizeof *promised->endpoints);
	free(promised->endpoints);
	free(promised->peers);
	free(promised->freed);
	*promised = (struct promised){.is_of_fleet = promised->is_of_fleet};
}
