/* IPIP peers of the interface that they share (shared.h). Errors have their text kept. */
#pragma once

#include "plane/plane.h"

struct kernel_device;

/* Makes those of the peers that are IPIP's, any number: plane_ops.add_many. */
int kernel_shared_add(struct kernel_device *device, const struct plane_peer *peers, size_t n);
/* plane_ops.check */
int kernel_shared_check(struct kernel_device *device, const struct plane_peer *peer);
/* Removes those of the peers that are IPIP's; n is PLANE_REMOVAL_BATCH at the most. */
void kernel_shared_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors);
