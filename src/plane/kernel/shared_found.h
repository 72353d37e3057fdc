/* What there is of IPIP peers at the interface that they share (shared.h). Errors have their text
 * kept. */
#pragma once

#include "plane/plane.h"

struct kernel_device;
struct link;

/* Remembers the peers that are there, as far as they are whole. */
int kernel_shared_adopt(struct kernel_device *device);
/* plane_ops.find, for these peers. */
int kernel_shared_find_peers(struct kernel_device *device, plane_found_fn *found, void *context);

/* Moves the peers that have an interface of their own, of these n, to the shared one, and the
 * reverse. What cannot be a peer's is removed. Logs. */
int kernel_shared_move_in(struct kernel_device *device, const struct link *links, size_t n);
int kernel_shared_move_out(struct kernel_device *device);
