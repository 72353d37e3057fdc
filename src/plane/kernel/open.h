/* The device of an endpoint: made, or the one that is there taken over. */
#pragma once

struct plane;
struct plane_device;
struct plane_endpoint;

/* plane_ops.open */
int kernel_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **device);
