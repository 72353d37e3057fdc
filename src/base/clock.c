/* The one real clock. No state: any thread may call it. */
#include "base/clock.h"

#include <time.h>

static uint64_t monotonic_ms(const struct clock *clock)
{
	struct timespec now;

	(void)clock;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

const struct clock system_clock = {monotonic_ms};
