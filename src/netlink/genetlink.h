/* Generic netlink: families of requests that are known by name (genetlink, linux/genetlink.h). */
#pragma once

#include <stdint.h>

struct netlink;
struct netlink_request;

/*
 * The number of a family, for a socket of NETLINK_GENERIC. The kernel may load the module that has
 * it. -ENOENT if there is none.
 */
int genetlink_family(struct netlink *netlink, const char *name, uint16_t *family);

/* Begins a message: netlink_add() with the generic header, filled. */
void genetlink_add(
	struct netlink_request *request, uint16_t family, uint8_t command, uint8_t version);
