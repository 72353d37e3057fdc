/* The wait for more orders: how long, and no waiting itself. Runs in the store's process. */
#include "store/gather.h"

uint64_t gather_us(size_t n_last, uint64_t took_us, bool more_come)
{
	uint64_t wait_us = n_last > 1 ? took_us : 0;

	if (more_come && wait_us < GATHER_BUSY_US)
		wait_us = GATHER_BUSY_US;
	return wait_us < GATHER_MAX_US ? wait_us : GATHER_MAX_US;
}
