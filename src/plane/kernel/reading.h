/* Reading back the peers of a device. */
#pragma once

#include "plane/plane.h"

/* plane_ops.read */
int kernel_read(struct plane_device *device, plane_peer_fn *found, void *context,
	struct plane_reading **reading);
