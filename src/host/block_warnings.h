/* What is odd about the block of inner addresses on this host. */
#pragma once

#include "base/ipv4.h"

struct netlink;

/*
 * Warns, in the log, of a block that is public, and of one that contains an address of this host or
 * overlaps with one of its routes. What a server itself has there does not count. The netlink is of
 * NETLINK_ROUTE.
 */
void block_warnings_log(struct netlink *netlink, struct prefix block);
