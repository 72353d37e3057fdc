/* Counters of interfaces (rtnetlink(7), RTM_GETSTATS): ten times as fast as RTM_GETLINK. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct netlink;
struct nlmsghdr;

struct link_stats {
	unsigned int ifindex;
	uint64_t received; /* bytes */
	uint64_t sent; /* bytes */
};

/* Of all interfaces. The array is the caller's to free. */
int stats_dump(struct netlink *netlink, struct link_stats **stats, size_t *n);
/* Likewise in pieces: netlink_dump_begin(); the messages that netlink_dump_next() hands over are
 * for stats_decode(). */
int stats_dump_begin(struct netlink *netlink);

/* Reads one RTM_NEWSTATS: as address_decode(). filter is NULL, item a struct link_stats. */
int stats_decode(const struct nlmsghdr *message, const void *filter, void *item);
