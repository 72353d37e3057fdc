/* Out of which interface a datagram would go, IPv4 and IPv6 (rtnetlink(7), RTM_GETROUTE). */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

struct netlink;

/* Of UDP; policy rules may look at each part. */
struct route_flow {
	int family; /* AF_INET or AF_INET6 */
	struct in6_addr to, from; /* of IPv4 the first 4 bytes; from must be this host's */
	in_port_t to_port, from_port; /* network byte order */
	uint32_t mark; /* firewall mark; 0: none */
};

/* Returns the interface's index. -EINVAL: IPv4, and `from` is not this host's. -ENETUNREACH, or
 * what the route says (-EHOSTUNREACH, -EACCES), if there is none. */
int route_egress(struct netlink *netlink, const struct route_flow *flow);
