/*
 * --route: a table of routes through the interface, and a policy rule that leads to it, but for the
 * tunnel's own packets and the requests to the server. What is to stay as it is (kept_routes.h) is
 * in that table as well, as routes that lead back out of it; so the longest prefix decides.
 */
#pragma once

#include "client/config.h"

struct event_base;
struct ip_routes;

/* Removes what an earlier client of that interface left behind. Returns 0 or -errno, logged. */
int ip_routes_open(
	struct event_base *base, const struct client_config *config, struct ip_routes **routes);

/* Makes all that is missing; may be called as often as wanted. From then on, it is also done
 * whenever a route or rule of this host changes. Returns 0 or -errno, logged. */
int ip_routes_set(struct ip_routes *routes, unsigned int ifindex, struct ipv4 server);

/* Removes what a client of that interface has left that does not run any more. dry_run: looks only.
 * Returns 1 if there is something, 0, or -errno, logged. */
int ip_routes_remove(const char *interface, bool dry_run);

/* Frees; removes all unless it is to be kept. NULL is fine. */
void ip_routes_close(struct ip_routes *routes, bool keep);
