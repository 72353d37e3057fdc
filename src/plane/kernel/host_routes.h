/* The routes to single addresses: an IPIP peer's leads to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"

struct kernel_plane;
struct route;

/* Those of the main table without a gateway, over an interface or, with 0, any; sorted. The array
 * is the caller's to free. Returns 0 or -errno, with its text kept. */
int kernel_host_routes(
	struct kernel_plane *kernel, unsigned int ifindex, struct route **routes, size_t *n);

/* Whether there is one to this address over this interface among them. */
bool kernel_has_host_route(
	const struct route *routes, size_t n, unsigned int ifindex, struct ipv4 address);
