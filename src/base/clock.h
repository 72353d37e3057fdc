/* Time as the rules of the program see it: never set back, and replaceable by a test. */
#pragma once

#include <stdint.h>
#include <sys/time.h>

struct clock {
	/* Milliseconds since some moment in the past. */
	uint64_t (*now_ms)(const struct clock *clock);
};

static inline uint64_t clock_now_ms(const struct clock *clock)
{
	return clock->now_ms(clock);
}

/* CLOCK_MONOTONIC: while the host is suspended nobody can be active, so that time counts for
 * nobody. */
extern const struct clock system_clock;
/* CLOCK_BOOTTIME, which goes on meanwhile: for what others may learn in that time, such as keys. It
 * costs the same to read. */
extern const struct clock boot_clock;

/* CLOCK_MONOTONIC in microseconds: to see how long something took. */
uint64_t clock_stopwatch_us(void);

/* The time of day, ns since 1970, which others set. */
uint64_t clock_wall_ns(void);

/* "2026-11-22T17:56:03.123Z": RFC 3339, 5.6. */
struct time_text {
	char s[sizeof "2026-11-22T17:56:03.123Z" + 8];
};
struct time_text time_text(uint64_t wall_ns);

/* As timers want it. */
static inline struct timeval timeval_from_ms(uint64_t milliseconds)
{
	return (struct timeval){.tv_sec = (time_t)(milliseconds / 1000),
		.tv_usec = (suseconds_t)(milliseconds % 1000) * 1000};
}
