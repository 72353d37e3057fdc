/* The timestamps of initiations, which are never set back. Runs in the control thread. */
#include "device/wireguard/timestamps.h"

enum {
	NS_PER_MS = 1000000,
	STEP_NS = 1 << 25, /* enough for noise_timestamp() to round to another value */
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The device's clock is never set back. */
static uint64_t least(const struct timestamps *timestamps, uint64_t now_ms)
{
	return timestamps->latest_ns + (now_ms - timestamps->latest_ms) * NS_PER_MS;
}

uint64_t timestamps_look(const struct timestamps *timestamps, uint64_t wall_ns, uint64_t now_ms)
{
	return later(wall_ns, least(timestamps, now_ms));
}

uint64_t timestamps_next(struct timestamps *timestamps, uint64_t wall_ns, uint64_t now_ms)
{
	timestamps->latest_ns = timestamps_look(timestamps, wall_ns, now_ms);
	timestamps->latest_ms = now_ms;
	return timestamps->latest_ns;
}

void timestamps_raise(struct timestamps *timestamps, uint64_t floor_ns, uint64_t now_ms)
{
	timestamps->latest_ns = later(least(timestamps, now_ms), floor_ns + STEP_NS);
	timestamps->latest_ms = now_ms;
}
