/* The links of IPIP peers: made, looked up and removed. Errors have their text kept. */
#pragma once

#include "plane/kernel/device.h"

struct netlink_request;

/* Makes the peer's link and route, or takes over the link that is there: plane_ops.add. */
int kernel_ipip_add(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote);
/* plane_ops.check */
int kernel_ipip_check(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote);
/* Removes those of the peers that are IPIP's; n is PLANE_REMOVAL_BATCH at the most. */
void kernel_ipip_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors);

/* Adds two messages to a request: the link up (of_group: and out of the removal group), its route.
 */
void kernel_ipip_put_mended(
	struct netlink_request *request, unsigned int ifindex, struct ipv4 inner, bool of_group);
/* No IPv6 on a link: it would give each an address and routes, and slow down every new one. */
void kernel_switch_off_ipv6(struct kernel_plane *kernel, const char *name);
