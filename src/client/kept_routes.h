/*
 * What --route leaves as it is. Kept: --except, the networks that the host is connected to, and its
 * routes to private networks. No other route of the host's is, however specific: whoever answers
 * DHCP could take the traffic out of the tunnel by one. It is named in the log.
 */
#pragma once

#include "client/config.h"

struct netlink;

struct kept_routes {
	struct prefix *kept; /* each within a --route; the shortest prefix first */
	size_t n_kept;
	struct route *passed_over; /* other routes within a --route */
	size_t n_passed_over;
};

/* Reads the main table, but for the routes of an interface: the client's. Returns 0, or -errno with
 * *routes empty. Whatever comes of it, it is for kept_routes_free(). */
int kept_routes_read(struct netlink *netlink, const struct client_config *config,
	unsigned int ifindex, struct kept_routes *routes);
void kept_routes_free(struct kept_routes *routes);

/* The same of routes that have been read: n routes, in any order. Returns 0 or -ENOMEM. */
int kept_routes_choose(const struct client_config *config, const struct route *all, size_t n,
	unsigned int ifindex, struct kept_routes *routes);

bool kept_routes_has(const struct kept_routes *routes, struct prefix prefix);

/* Logs what is not as in former, the last time; former is empty at first. */
void kept_routes_log(const struct kept_routes *former, const struct kept_routes *routes);

/* What is left out of --route by default. *n: how many there are; 0 with --except=none. */
const struct prefix *kept_routes_defaults(const struct client_config *config, size_t *n);
