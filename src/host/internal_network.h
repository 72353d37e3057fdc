/*
 * A network behind the host that tunnels reach by one of its interfaces, with the bind address:
 * what the older programs have with --region us-west.
 */
#pragma once

#include <net/if.h>

#include "base/ipv4.h"

struct netlink;

struct internal_network {
	struct prefix network; /* /0: there is none */
	char interface[IF_NAMESIZE];
};

/*
 * Finds the interface: the first that is up and has a private address (RFC 1918), and is not made
 * by software for others: no veth, bridge, dummy, WireGuard, Docker's or ours. Of these, one named
 * en* or eth* comes first. Logs which. Returns 0, -ENODEV if there is none, or another -errno,
 * logged.
 */
int internal_network_find(struct netlink *netlink, struct internal_network *internal);
