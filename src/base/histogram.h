/* How long things took: counts by length, as Prometheus wants them. */
#pragma once

#include <stdint.h>

enum {
	HISTOGRAM_N_BOUNDS = 16,
};

/* The longest that each count is of, in microseconds, the shortest first. */
extern const uint32_t histogram_bounds_us[HISTOGRAM_N_BOUNDS];

/* Zeroed: nothing was counted. */
struct histogram {
	uint64_t counts[HISTOGRAM_N_BOUNDS + 1]; /* of each length alone; the last: of all longer */
	uint64_t sum_us;
};

/* One more that took so many microseconds. */
void histogram_add(struct histogram *histogram, uint64_t us);
/* All that the other one has counted. */
void histogram_join(struct histogram *histogram, const struct histogram *other);
