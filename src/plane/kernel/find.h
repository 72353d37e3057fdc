/* What is there of peers, as it is: for the server to judge. */
#pragma once

#include "plane/plane.h"

/* plane_ops.find */
int kernel_find(struct plane_device *device, plane_found_fn *found, void *context);
