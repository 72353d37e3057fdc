/* What the server's configuration means for the host: host.h's functions, given what they need to
 * know of it. */
#pragma once

#include <stdbool.h>

struct data_plane;
struct endpoint;
struct event_base;
struct host;

/* For those endpoints that are to be served from the start. As host_prepare(). */
int host_setup(const struct data_plane *data_plane, struct event_base *base, struct host **host);

/* As host_serve(). */
int host_setup_endpoint(
	struct host *host, const struct data_plane *data_plane, const struct endpoint *endpoint);

/* What was made for an endpoint stays where the endpoint does (endpoint->keep). As host_restore().
 */
int host_setup_undo(struct host *host, const struct data_plane *data_plane, bool started);
