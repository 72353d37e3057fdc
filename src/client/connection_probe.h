/*
 * Whether packets pass the tunnel both ways where no echo does: a TCP connection to the server's
 * outer address, port 443, through the tunnel. Whatever the other side answers will do.
 */
#pragma once

#include "base/ipv4.h"

struct connection_probe;
struct event_base;

/* Something has come back. */
typedef void connection_probe_fn(void *context);

/* NULL if there is no memory. */
struct connection_probe *connection_probe_new(
	struct event_base *base, connection_probe_fn *answered, void *context);
/* Connections are made with a copy of this TCP socket, in whatever namespace it is. */
void connection_probe_use_socket(struct connection_probe *probe, int socket);
/* NULL is fine. */
void connection_probe_free(struct connection_probe *probe);

/* Out of the interface, whatever the routes are. What cannot be sent is never answered. */
void connection_probe_start(
	struct connection_probe *probe, const char *interface, struct ipv4 server);
void connection_probe_stop(struct connection_probe *probe);
