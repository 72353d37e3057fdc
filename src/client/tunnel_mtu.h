/* The MTU of a tunnel, by the way that its packets take to the server. */
#pragma once

#include <stdint.h>

#include "client/tunnel.h"

struct netlink;

enum {
	/* Of an outer packet, bytes: as wg-quick(8) has it, which is enough for IPv6 outside too;
	 * RFC 2003. */
	MTU_OVERHEAD_WIREGUARD = 80,
	MTU_OVERHEAD_IPIP = 20,
	MTU_USUAL_MIN = 1280, /* below it, more than IPv6 does not work: RFC 8200, 5 */
	MTU_MIN = 576, /* that any host takes: RFC 791 */
	MTU_MAX = 65535 - MTU_OVERHEAD_WIREGUARD,
};

/*
 * What the route to the server has room for, as the kernel knows it now: the interface's MTU, the
 * route's, or the path's where an ICMP error has told it. *way: that, *mtu: what is left of it
 * inside the tunnel, MTU_MIN at least. Returns 0 or -errno: there is no way at the moment.
 */
int tunnel_mtu_find(struct netlink *netlink, const struct tunnel *tunnel, enum tunnel_kind kind,
	uint32_t *way, uint32_t *mtu);
