/* Which data plane the server has: the one that the configuration names, or else the first that
 * this host can do. */
#pragma once

struct plane;
struct server_config;

/* *plane is the caller's, to be freed in either case; NULL: there is none. Logs. Returns 0, or
 * -errno if this host cannot do it. */
int plane_choose(const struct server_config *config, struct plane **plane);
