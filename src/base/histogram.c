/* Counts how long things took. Runs in the broker and in the gates, each with histograms of its
 * own. */
#include "base/histogram.h"

const uint32_t histogram_bounds_us[HISTOGRAM_N_BOUNDS] = {100, 250, 500, 1000, 2500, 5000, 10000,
	25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

void histogram_add(struct histogram *histogram, uint64_t us)
{
	unsigned int i = 0;

	while (i < HISTOGRAM_N_BOUNDS && us > histogram_bounds_us[i])
		i++;
	histogram->counts[i]++;
	histogram->sum_us += us;
}

void histogram_join(struct histogram *histogram, const struct histogram *other)
{
	for (unsigned int i = 0; i <= HISTOGRAM_N_BOUNDS; i++)
		histogram->counts[i] += other->counts[i];
	histogram->sum_us += other->sum_us;
}
