/*
 * When our handshakes say that they were begun (paper, 5.1): a peer drops an initiation whose
 * timestamp is not later than the latest it has seen of our key. So it is the time of day, or, as
 * long as that is earlier than what may have been sent already, a clock that goes on from there.
 * The control thread's.
 */
#pragma once

#include <stdint.h>

/* Zeroed: nothing was sent yet. */
struct timestamps {
	uint64_t latest_ns; /* ns since 1970: of what was sent, or may have been by others */
	uint64_t latest_ms; /* when that was, by the device's clock */
};

/* The next one, ns since 1970. Later than all before that were at least a millisecond ago. */
uint64_t timestamps_next(struct timestamps *timestamps, uint64_t wall_ns, uint64_t now_ms);

/* What it would be now. */
uint64_t timestamps_look(const struct timestamps *timestamps, uint64_t wall_ns, uint64_t now_ms);

/* Whoever had our key before may have sent this one (ns since 1970): all that follow are later,
 * also when they are rounded down by noise_timestamp(). */
void timestamps_raise(struct timestamps *timestamps, uint64_t floor_ns, uint64_t now_ms);
