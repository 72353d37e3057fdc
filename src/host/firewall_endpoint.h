/* What the tables "ip vprox" and "ip6 vprox" have of each endpoint, as nft's text (nft(8)): its
 * elements in the sets, and the chains of its interfaces. firewall_text.h has the whole. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct host_config;
struct host_endpoint;

/* Writes the sets and maps that every endpoint has its elements in. */
void firewall_write_endpoint_sets(FILE *out, const struct host_config *config);
/* Of these the one of the tunnels' interfaces alone, for "ip6 vprox". */
void firewall_write_tunnels(FILE *out, const struct host_config *config);
/* Writes two chains for each endpoint, which check the source. After the chain "tunnel". */
void firewall_write_endpoint_chains(FILE *out, const struct host_config *config);

/* The commands that say that the address of an endpoint has just come to this host. The
 * caller frees the text; NULL when there is no memory. */
char *firewall_endpoint_arrival(const struct host_endpoint *endpoint);

/*
 * The commands that add an endpoint to the tables (remaining is NULL), or that take it out of them,
 * where remaining has the others: one transaction, in which nothing else is touched that packets
 * have left there. Likewise for the caller to free.
 */
char *firewall_endpoint_change(
	const struct host_endpoint *endpoint, const struct host_config *remaining, bool has_ipv6);
