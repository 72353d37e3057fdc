/* A token bucket for each source of handshake messages under load. Runs in the control thread. */
#include "device/wireguard/ratelimiter.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
	WAYS = 8, /* buckets of a set */
	TOKEN_MS = 1000 / RATELIMITER_PER_SECOND, /* a token's worth */
	FULL_MS = RATELIMITER_BURST * TOKEN_MS,
};

/* Credit is counted in the ms that it takes to earn it. Zeroed: in no use. */
struct bucket {
	uint64_t source; /* the IPv4 address, or the first half of the IPv6 address */
	uint64_t updated_ms;
	uint32_t credit_ms;
	uint32_t family;
};

struct ratelimiter {
	struct bucket *buckets; /* NULL until the first use */
	size_t n_sets; /* a power of two */
	struct hash_table hash; /* for its keyed hash only */
};

struct ratelimiter *ratelimiter_new(size_t n)
{
	struct ratelimiter *limiter = calloc(1, sizeof(*limiter));

	if (!limiter)
		return NULL;
	if (hash_init(&limiter->hash) != 0) {
		free(limiter);
		return NULL;
	}
	limiter->n_sets = 1;
	while (limiter->n_sets * WAYS < n)
		limiter->n_sets *= 2;
	return limiter;
}

void ratelimiter_free(struct ratelimiter *limiter)
{
	if (!limiter)
		return;
	hash_free(&limiter->hash);
	free(limiter->buckets);
	free(limiter);
}

static uint32_t credit_now(const struct bucket *bucket, uint64_t now_ms)
{
	uint64_t credit;

	if (bucket->family == 0)
		return FULL_MS;
	credit = bucket->credit_ms + (now_ms - bucket->updated_ms);
	return credit < FULL_MS ? (uint32_t)credit : FULL_MS;
}

/* Sources share a bucket only if they are the same; the limit is on who can be told apart. */
static bool source_of(const struct udp_endpoint *endpoint, struct bucket *bucket)
{
	bucket->family = endpoint->family;
	switch (endpoint->family) {
	case AF_INET:
		memcpy(&bucket->source, &endpoint->v4.sin_addr, sizeof endpoint->v4.sin_addr);
		return true;
	case AF_INET6:
		memcpy(&bucket->source, &endpoint->v6.sin6_addr, sizeof bucket->source);
		return true;
	}
	return false;
}

/* The source's bucket, or that of the set which is nearest to full, for the source to have. */
static struct bucket *find(
	struct ratelimiter *limiter, const struct bucket *wanted, uint64_t now_ms)
{
	uint64_t key[] = {wanted->source, wanted->family};
	uint64_t set = hash_bytes(&limiter->hash, key, sizeof key) & (limiter->n_sets - 1);
	struct bucket *first = &limiter->buckets[set * WAYS], *fullest = first;

	for (struct bucket *bucket = first; bucket < first + WAYS; bucket++) {
		if (bucket->family == wanted->family && bucket->source == wanted->source)
			return bucket;
		if (credit_now(bucket, now_ms) > credit_now(fullest, now_ms))
			fullest = bucket;
	}
	*fullest = *wanted;
	return fullest;
}

bool ratelimiter_allow(
	struct ratelimiter *limiter, const struct udp_endpoint *source, uint64_t now_ms)
{
	struct bucket wanted = {.updated_ms = now_ms, .credit_ms = FULL_MS};
	struct bucket *bucket;

	if (!source_of(source, &wanted))
		return false;
	if (!limiter->buckets)
		limiter->buckets = calloc(limiter->n_sets * WAYS, sizeof(*limiter->buckets));
	if (!limiter->buckets)
		return false;
	bucket = find(limiter, &wanted, now_ms);
	bucket->credit_ms = credit_now(bucket, now_ms);
	bucket->updated_ms = now_ms;
	if (bucket->credit_ms < TOKEN_MS)
		return false;
	bucket->credit_ms -= TOKEN_MS;
	return true;
}
