/*
 * What a server needs of its host besides the tunnels: the bind addresses, forwarding, policy
 * rules, the firewall and a way through the firewalls of others. Made before the tunnels, tended
 * while the server runs, and put back at its end.
 */
#pragma once

#include <stdbool.h>

struct endpoint;
struct event_base;
struct host;
struct server_config;

/*
 * endpoints are config->n_binds of them, with their config set; they must stay until
 * host_restore(). Logs what goes wrong and what was changed. Returns 0 or -errno; *host is to be
 * given to host_restore() in either case, and may be NULL.
 */
int host_prepare(const struct server_config *config, const struct endpoint *endpoints,
	struct event_base *base, struct host **host);

/*
 * Puts back what was made for the endpoints that do not stay (endpoint->keep), and frees. started:
 * false after a start that failed, which takes back only what it did itself. NULL is fine. Returns
 * 0 or the first error.
 */
int host_restore(struct host *host, bool started);
