/* IPv4 routes (rtnetlink(7), RTM_NEWROUTE). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct netlink;
struct netlink_request;
struct nlmsghdr;

struct route {
	struct prefix destination;
	uint32_t table; /* RT_TABLE_... or any other number */
	uint8_t protocol; /* RTPROT_... */
	uint8_t scope; /* RT_SCOPE_... */
	uint8_t type; /* RTN_... */
	unsigned int
		oif; /* outgoing interface, of the first next hop if there are several; 0: none */
	struct ipv4 gateway; /* likewise; 0.0.0.0: none, or none of IPv4 */
	struct ipv4 source; /* preferred source address; 0.0.0.0: none */
	uint32_t metric; /* RTA_PRIORITY: the lowest wins */
	/* Of a lookup only: */
	uint32_t mtu; /* bytes, where it is less than the interface's; 0: it is not */
	bool encapsulates; /* the next hop is of another family, or encapsulates */
};

/* The route `ip route add DESTINATION dev OIF scope link` makes: table main, protocol boot. */
struct route route_of_link(struct prefix destination, unsigned int oif);

/* Adds a route, or replaces the one with the same destination, table and metric, in one
 * step. */
int route_set(struct netlink *netlink, const struct route *route);
/* Adds it behind others with the same destination, table and metric, as the kernel adds an
 * address's. -EEXIST if the same one is there. */
int route_append(struct netlink *netlink, const struct route *route);
/* -ESRCH if it is not there. What is 0 in the route matches any. */
int route_delete(struct netlink *netlink, const struct route *route);

/* Which routes a dump returns. Zeroed: all of them, also the local and broadcast ones. */
struct route_filter {
	uint32_t table; /* 0: any */
	uint8_t type; /* RTN_...; 0: any */
	uint8_t protocol; /* RTPROT_...; 0: any */
	uint8_t scope_at_least; /* RT_SCOPE_LINK leaves out what has a gateway */
	unsigned int oif; /* 0: any */
	struct prefix within; /* the destination lies inside; a length of 0 takes any */
	uint8_t length_min, length_max; /* of the destination; both 0: any */
};
/* The array is the caller's to free. A table that does not exist has no routes. */
int route_dump(struct netlink *netlink, const struct route_filter *filter, struct route **routes,
	size_t *n);
/* Likewise in pieces: netlink_dump_next(), whose messages are for route_decode() with the same
 * filter. */
int route_dump_begin(struct netlink *netlink, const struct route_filter *filter);

/*
 * The route a packet would take now, policy rules obeyed: `ip route get TO from FROM`. from
 * 0.0.0.0: not decided yet; else it must be an address of this host. The result's source is what
 * the kernel would take, its table where the route was found. -ENETUNREACH, or what the route says
 * (-EHOSTUNREACH, -EACCES), if there is none.
 */
int route_lookup(struct netlink *netlink, struct ipv4 to, struct ipv4 from, struct route *route);
/* The same for a packet with a firewall mark; 0: none. */
int route_lookup_marked(struct netlink *netlink, struct ipv4 to, struct ipv4 from, uint32_t mark,
	struct route *route);

/* The default route of the main table with the lowest metric. -ENETUNREACH if there is none. */
int route_default(struct netlink *netlink, struct route *route);

/* The encoding by itself: as address_put() and address_decode(). filter is a struct route_filter,
 * item a struct route. */
void route_put(
	struct netlink_request *request, uint16_t type, uint16_t flags, const struct route *route);
int route_decode(const struct nlmsghdr *message, const void *filter, void *item);
