/*
 * What of a grant goes onto the host: the assigned address as a /32, and a route to the server's
 * inner address alone. Never the block that the address lies in: its size is the server's choice,
 * and it would take all of it into the tunnel. A route of the operator's own choice is --route.
 */
#pragma once

#include <stddef.h>

#include "client/tunnel.h"

struct netlink;

/*
 * Whether the host can take the address, and have the gateway behind the tunnel: neither may be one
 * of its own addresses, nor lie in a network that it is connected to; other interfaces of vprox
 * clients do not count. Returns 0, -EADDRINUSE with what is in the way in why, or another negative
 * errno.
 */
int addressing_check(struct netlink *netlink, const struct tunnel *tunnel, char *why, size_t size);

/* The assigned address, and no other. Returns 0 or -errno. */
int addressing_set_address(
	struct netlink *netlink, unsigned int ifindex, const struct tunnel *tunnel);

/*
 * The route to the gateway, of an interface that is up. None if the gateway's address is public:
 * whoever has it in the Internet would not be reached any more, and the echoes are sent out of the
 * interface whatever the routes are. Returns 0 or -errno.
 */
int addressing_set_route(
	struct netlink *netlink, unsigned int ifindex, const struct tunnel *tunnel);

/* The default route, of an interface that has a namespace to itself. Returns 0 or -errno. */
int addressing_set_default_route(struct netlink *netlink, unsigned int ifindex);
