/*
 * The kernel's notices of changes (netlink(7)), for an event loop: links, addresses, routes,
 * nftables. They wait in the socket until they are read.
 */
#pragma once

#include <stdint.h>

struct nlmsghdr;

/* protocol: NETLINK_ROUTE with groups RTMGRP_..., or another one with the bits of its groups, of
 * which the first is bit 0. Returns a file descriptor, readable when there is a notice, for the
 * caller to close; or a negative errno. */
int netlink_monitor_open(int protocol, uint32_t groups);

/* One notice; valid during the call. */
typedef void netlink_notice_fn(void *context, const struct nlmsghdr *message);

/*
 * Calls back for all notices that wait; does not block. Returns 0, or a negative errno; -ENOBUFS:
 * some were lost, and those that were not have been called back for.
 */
int netlink_monitor_read(int fd, netlink_notice_fn *notice, void *context);
