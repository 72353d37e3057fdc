/* Computes waits, and keeps no time itself. Runs in the client. */
#include "client/backoff.h"

#include <sys/random.h>

enum {
	MS_PER_S = 1000,
	FIRST_BOUND_MS = 2 * BACKOFF_MIN_MS,
	MOST_DOUBLINGS = 5, /* enough for BACKOFF_MAX_MS */
	SPREAD = 4,
};

uint32_t backoff_next(struct backoff *backoff)
{
	uint32_t bound = (uint32_t)FIRST_BOUND_MS << backoff->tries;

	if (backoff->tries < MOST_DOUBLINGS)
		backoff->tries++;
	if (bound > BACKOFF_MAX_MS)
		bound = BACKOFF_MAX_MS;
	return BACKOFF_MIN_MS + backoff->random(bound - BACKOFF_MIN_MS + 1);
}

uint32_t backoff_after(struct backoff *backoff, uint32_t retry_after_s)
{
	uint32_t ms;

	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	ms = retry_after_s * MS_PER_S;
	return ms + backoff->random(ms / SPREAD + 1) + backoff_next(backoff);
}

void backoff_reset(struct backoff *backoff)
{
	backoff->tries = 0;
}

uint32_t backoff_random(uint32_t limit)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return 0;
	return number % limit;
}
