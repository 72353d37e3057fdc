/*
 * All that a client changes on this machine for its tunnel: what --route names is closed, what may
 * come in, the interface, the routes, the name servers. In this order it is opened and set, and the
 * other way round it is closed.
 */
#pragma once

#include <stdbool.h>

#include "client/config.h"
#include "client/egress_block.h"

struct event_base;
struct inbound;
struct interface;
struct ip_routes;
struct name_servers;

/* Zeroed, there is nothing; NULL: it is not open. */
struct local_setup {
	struct egress_block *block;
	struct inbound *inbound;
	struct interface *interface;
	struct ip_routes *routes;
	struct name_servers *name_servers; /* NULL also where the host's stay as they are */
};

/*
 * Takes over or removes what an earlier client has left, and closes what is to be closed before
 * there is a tunnel. private_key is kept by reference. Returns 0 or -errno, logged; what was opened
 * stays open.
 */
int local_setup_open(struct local_setup *setup, struct event_base *base,
	const struct client_config *config, const struct key *private_key);

/* For a tunnel that was granted, all but the name servers; may be called as often as wanted. renew:
 * as for interface_set(). Returns 0 or -errno, logged. */
int local_setup_set(struct local_setup *setup, const struct tunnel *tunnel, bool renew);
/* Makes the routes that are missing. Returns 0 or -errno, logged. */
int local_setup_set_routes(struct local_setup *setup, const struct tunnel *tunnel);
/* When the tunnel works. announced: by the server. */
void local_setup_set_name_servers(struct local_setup *setup, const struct resolvers *announced);

/* Frees; removes all unless it is to be kept, and of the block what is said. May be called again.
 */
void local_setup_close(struct local_setup *setup, bool keep, enum egress_block_end end);
