/* Putting right what others have changed of a device and of its peers' links. */
#pragma once

#include "plane/kernel/device.h"

struct link;

/* Gives vprox<i> what it lacks, as found in link; is_new: made by us just now, or a Go
 * server's until now, so that nothing it lacks is worth a line in the log. */
int kernel_configure_link(struct kernel_device *device, const struct link *link, bool is_new);
/* plane_ops.reconcile, .serve */
int kernel_reconcile(struct plane_device *device, unsigned int longest_ms);
int kernel_serve(struct plane_device *device, uint64_t floor_ns);
