/* Reading back the peers of a device. */
#pragma once

#include "plane/plane.h"

/* plane_ops.dump */
int kernel_dump(struct plane_device *device, plane_peer_fn *found, void *context);
