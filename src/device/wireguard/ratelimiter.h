/*
 * Under load, so many handshake messages a second a source address (paper, 5.3): a token bucket for
 * each IPv4 address and each IPv6 /64. Memory is bounded: a fixed number of buckets, in sets chosen
 * by a keyed hash; in a full set the bucket that is nearest to full is given up. The control
 * thread's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/io/udp_endpoint.h"

enum {
	RATELIMITER_PER_SECOND = 20,
	RATELIMITER_BURST = 5,
};

struct ratelimiter;

/* Room for about n sources at once; the memory is taken at the first use. NULL: no memory or no
 * randomness. */
struct ratelimiter *ratelimiter_new(size_t n);
void ratelimiter_free(struct ratelimiter *limiter);

/* Takes a token of the source's. False: none is left. */
bool ratelimiter_allow(
	struct ratelimiter *limiter, const struct udp_endpoint *source, uint64_t now_ms);
