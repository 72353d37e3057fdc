/*
 * The text of a client's block: what --route names leaves by the tunnel's interface, or not at all.
 * Let by are what the client itself sends to its server, which is marked, and answers to what came
 * from outside.
 */
#pragma once

#include "client/blocked_ranges.h"
#include "client/config.h"
#include "client/local_ports.h"

struct block_state {
	const struct client_config *config;
	const struct address_range *ranges; /* that are blocked */
	size_t n_ranges;
	/* Over IPIP: whom the outer packets go to, which the kernel does not mark; 0.0.0.0: nobody.
	 */
	struct ipv4 ipip_server;
	/* Without connection tracking nobody who asks from outside is answered. */
	bool tracks;
	struct local_ports local;
};

/* What own_table_set() takes. NULL: no memory. The caller frees it. */
char *block_text(const struct block_state *state);
