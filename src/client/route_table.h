/*
 * The routing table of --route: what leads through the interface, what leads nowhere when that is
 * gone, and what leads back out of the table, to where it would go without the client.
 */
#pragma once

#include "client/config.h"
#include "client/kept_routes.h"

struct netlink;

/* Makes the table as it is to be. What is so already is not touched: each change is a notice to
 * whoever watches. Returns 0 or -errno. */
int route_table_set(struct netlink *netlink, const struct client_config *config, uint32_t table,
	unsigned int ifindex, const struct kept_routes *kept);

/* Removes all routes that are in it. Returns 0 or -errno. */
int route_table_clear(struct netlink *netlink, uint32_t table);
