/*
 * Notices of the kernel's connection tracking about connections that have ended, by ctnetlink
 * (linux/netfilter/nfnetlink_conntrack.h, net/netfilter/nf_conntrack_netlink.c). Knows nothing of
 * who had the addresses.
 *
 * Who may join the group opens the socket; whoever has it then needs no rights to read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct nlmsghdr;

/* Packets and bytes of one direction; IP headers count. */
struct flow_amount {
	uint64_t packets, bytes;
};

/* A connection that has ended. What the kernel has not kept is zero: it does so only for
 * connections that began when net.netfilter.nf_conntrack_acct and _timestamp were on. */
struct ended_flow {
	struct ipv4 source, destination; /* as its first packet had them, before NAT */
	uint16_t source_port, destination_port; /* 0: its protocol has none */
	struct ipv4 seen_as; /* the source after NAT */
	uint16_t seen_as_port;
	uint8_t protocol; /* IPPROTO_ */
	uint64_t start_ns, end_ns; /* since 1970; 0: not known */
	bool has_amounts;
	struct flow_amount out, back; /* from its source, and to it */
};

/*
 * Opens a non-blocking socket that hears of the end of connections alone, and of those alone whose
 * source, before NAT, is in the prefix: what is not is dropped before it takes any of the buffer.
 * buffer_size: of the socket, in bytes, whatever the host's limit is. Needs CAP_NET_ADMIN. Returns
 * it (close-on-exec) or -errno.
 */
int conntrack_events_open(struct prefix sources, int buffer_size);

typedef void ended_flow_fn(void *context, const struct ended_flow *flow);

/*
 * Reads what has come, max messages at the most. Returns how many, 0 if there is none, -ENOBUFS if
 * some were lost (there may be more to read all the same), or another -errno.
 */
int conntrack_events_read(int fd, size_t max, ended_flow_fn *ended, void *context);

/* How many notices the socket had no room for, since it was opened, whoever has it; -errno. */
int64_t conntrack_events_lost(int fd);

/* Reads one out of a notice. False if it is none, or not of IPv4. */
bool conntrack_ended_decode(const struct nlmsghdr *message, struct ended_flow *flow);
