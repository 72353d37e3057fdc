/*
 * `vprox check SERVER`: whether this host can have tunnels to a server, and what is in the way.
 * What is tried is what a client does: a request, and a tunnel of each kind, of an interface of its
 * own, by a client that is stopped at once. Nothing of it stays.
 */
#pragma once

#include "client/config.h"
#include "client/reach_result.h"

/* Which kinds of tunnel are tried. */
enum reach_tunnels {
	REACH_BOTH,
	REACH_WIREGUARD,
	REACH_IPIP,
};

/* The configuration is a client's: server, password, and who the server is. */
void reach_check(const struct client_config *config, enum reach_tunnels tunnels,
	struct reach_result *result);
