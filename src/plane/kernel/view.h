/* The device of an endpoint as it is, for who only looks. */
#pragma once

struct plane;
struct plane_device;
struct plane_endpoint;

/* plane_ops.view */
int kernel_view(struct plane *plane, const struct plane_endpoint *endpoint, unsigned int *lacks,
	struct plane_device **device);
