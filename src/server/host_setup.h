/* What the server's configuration means for the host: host.h's functions, given what they need to
 * know of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct endpoint;
struct event_base;
struct host;
struct server_config;

/* endpoints are config->n_binds of them, with their config set. As host_prepare(). */
int host_setup(const struct server_config *config, const struct endpoint *endpoints,
	struct event_base *base, struct host **host);

/* What was made for an endpoint stays where the endpoint does (endpoint->keep). endpoints are those
 * of host_setup(). As host_restore(). */
int host_setup_undo(
	struct host *host, const struct endpoint *endpoints, size_t n_endpoints, bool started);
