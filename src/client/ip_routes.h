/*
 * --route: a table of routes through the interface, and policy rules that lead to it, but for the
 * tunnel's own packets and the requests to the server. Where 0.0.0.0/0 is among them, routes of the
 * main table that are no default routes go first: the networks this host is on stay reachable.
 */
#pragma once

#include "client/config.h"

struct ip_routes;

/* Removes what an earlier client of that interface left behind. Returns 0 or -errno, logged. */
int ip_routes_open(const struct client_config *config, struct ip_routes **routes);

/* Makes all that is missing; may be called as often as wanted. Returns 0 or -errno, logged. */
int ip_routes_set(struct ip_routes *routes, unsigned int ifindex, struct ipv4 server);

/* Frees; removes all unless it is to be kept. NULL is fine. */
void ip_routes_close(struct ip_routes *routes, bool keep);
