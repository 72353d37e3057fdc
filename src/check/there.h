/* What is there in the data plane, as it is. */
#pragma once

#include <stdbool.h>

#include "plane/plane.h"

struct disagreements;
struct holder_list;

/*
 * Adds an endpoint's peers, and as disagreements what is wrong with its interface or with a link.
 * Without an interface, which is a disagreement, there are none: *has_device is false then. Returns
 * 0, -ENOMEM, or another negative errno of which plane_error() has more.
 */
int there_read(struct plane *plane, const struct plane_endpoint *endpoint,
	struct holder_list *holders, struct disagreements *disagreements, bool *has_device);
