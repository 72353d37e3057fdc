/*
 * A peer is answered from the address that it spoke to, for as long as the route back leads out of
 * the interface that its packets came in by, as the kernel's WireGuard does. Where it does not, the
 * other uplink's network may drop what has this uplink's address: the routing chooses then.
 */
#pragma once

#include "device/shared.h"

struct netlink;

/* Takes our address out of `to`, which is that version of the peer's address, if it is not to be
 * sent from. The kernel is asked once for each version and each change of routes; fd: the socket
 * that will send. */
void sticky_source_check(struct netlink *netlink, const struct shared *shared,
	struct peer_address *address, uint32_t version, int fd, struct udp_endpoint *to);
