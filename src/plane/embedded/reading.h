/* Reading back the peers of a device. */
#pragma once

#include "plane/plane.h"

/* plane_ops.find, .read */
int embedded_find(struct plane_device *device, plane_found_fn *found, void *context);
int embedded_read(struct plane_device *device, plane_peer_fn *found, void *context,
	struct plane_reading **reading);
