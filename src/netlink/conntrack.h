/*
 * The kernel's connection tracking: deletes the entries of some addresses, and tells of those that
 * clashed, by ctnetlink
 * (linux/netfilter/nfnetlink_conntrack.h, net/netfilter/nf_conntrack_netlink.c). Knows nothing of
 * who had the addresses.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct nlmsghdr;
struct nlattr;

enum { CONNTRACK_TUPLE_ADDRESSES = 2 };

/* Whether the entries of this address are to go. */
typedef bool conntrack_match_fn(void *context, struct ipv4 address);

struct conntrack_result {
	size_t n_entries; /* that there were, of IPv4 */
	size_t n_deleted;
};

/*
 * One pass over all IPv4 entries of this network namespace: deletes those that have a matching
 * address as the source or the destination of either direction. Blocks; on a large table for tenths
 * of a second, most of it in the kernel (45 ms for 262,144 empty buckets), so not for an event
 * loop. An entry that goes by itself meanwhile is no error.
 *
 * Returns 0, or a negative errno, and then some may be left: -EINTR if the table changed so that
 * entries may have been missed, -ENOBUFS, -EPERM, -EBUSY (an entry in a flow table), or what the
 * kernel says that has no connection tracking.
 */
int conntrack_delete(conntrack_match_fn *match, void *context, struct conntrack_result *result);

/*
 * Connections whose first packet was dropped in this network namespace, on all CPUs, as another one
 * had its addresses and ports already: so ends one that NAT finds no free port for towards where it
 * goes (nf_nat_core.c, get_unique_tuple(); nf_conntrack_core.c, __nf_conntrack_confirm():
 * insert_failed). Each packet that tries it again counts. Returns 0 or -errno.
 */
int conntrack_count_clashes(uint64_t *n);

/* What deletes one entry: its tuple, and what tells it from a later one with the same tuple.
 * Pointers into the message it was read from. */
struct conntrack_entry {
	struct ipv4 addresses[2 * CONNTRACK_TUPLE_ADDRESSES]; /* source and destination, then those
								 of the replies */
	const struct nlattr *tuple;
	const struct nlattr *id;
	const struct nlattr *zone; /* NULL: the default one */
};

/* Reads an entry out of a message of a dump. False if it is none, or not of IPv4. */
bool conntrack_decode(const struct nlmsghdr *message, struct conntrack_entry *entry);

/* Reads source and destination out of a tuple, which may be NULL. False if it has not both, of
 * IPv4. */
bool conntrack_decode_tuple(
	const struct nlattr *tuple, struct ipv4 addresses[CONNTRACK_TUPLE_ADDRESSES]);
