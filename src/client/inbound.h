/*
 * What comes out of the tunnel is answers: a table of nftables, inet vprox-inbound-INTERFACE, lets
 * by what belongs to flows of this host, and the gateway's echo requests; to the host and through
 * it. Packets for another address than the assigned one never pass: over IPIP whoever forges the
 * server's address can send them. And TCP that is forwarded through the tunnel has segments that
 * fit into it.
 */
#pragma once

#include <stdbool.h>

#include "client/config.h"
#include "client/tunnel.h"

struct event_base;
struct inbound;

#define INBOUND_PREFIX "vprox-inbound-"

/* Changes nothing yet. Returns 0 or -errno, logged. */
int inbound_open(
	struct event_base *base, const struct client_config *config, struct inbound **inbound);

/* For a tunnel that was granted, before its interface is set up. From then on the table is put
 * right whenever another program changes it. A kernel that cannot is warned of. Returns 0 or
 * -errno, logged. */
int inbound_set(struct inbound *inbound, const struct tunnel *tunnel);

/* Frees; removes the table unless it is to be kept, as its interface is. NULL is fine. */
void inbound_close(struct inbound *inbound, bool keep);

/* What a client that does not run any more has left of it, if its interface is gone. Logs it.
 * dry_run: removes nothing. Returns 1, 0 if there is none, or -errno, logged. */
int inbound_remove(const char *interface, bool dry_run);
