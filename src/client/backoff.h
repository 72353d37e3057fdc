/* How long to wait between tries: longer each time, and never quite the same, so that a thousand
 * clients of a server that was gone do not return in step. */
#pragma once

#include <stdint.h>

enum {
	BACKOFF_MIN_MS = 200,
	BACKOFF_MAX_MS = 5000,
	RETRY_AFTER_MAX_S = 300, /* of a server's Retry-After */
};

struct backoff {
	unsigned int tries; /* since the last success; zeroed at first */
	/* A number from 0 to below a limit. */
	uint32_t (*random)(uint32_t limit);
};

/* The next wait, in ms: random, from BACKOFF_MIN_MS to a bound that doubles with every call, up to
 * BACKOFF_MAX_MS. */
uint32_t backoff_next(struct backoff *backoff);

/* The same after a Retry-After: not before that time, and spread over a quarter of it more. */
uint32_t backoff_after(struct backoff *backoff, uint32_t retry_after_s);

void backoff_reset(struct backoff *backoff);

/* For backoff.random: from getrandom(2). */
uint32_t backoff_random(uint32_t limit);
