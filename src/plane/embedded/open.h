/* The device of an endpoint: made, or the one that is there taken over, and kept as it should be.
 */
#pragma once

#include <stdint.h>

struct plane;
struct plane_device;
struct plane_endpoint;

/* plane_ops.open, .view, .reconcile, .serve */
int embedded_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **device);
int embedded_view(struct plane *plane, const struct plane_endpoint *endpoint, unsigned int *lacks,
	struct plane_device **device);
int embedded_reconcile(struct plane_device *device, unsigned int longest_ms);
int embedded_serve(struct plane_device *device, uint64_t floor_ns);
