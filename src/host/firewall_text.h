/* The table "ip vprox" in nft's language (nft(8)). */
#pragma once

#include <stdbool.h>

enum {
	/* A connection out of a tunnel whose beginning this host has not seen is dropped for so
	 * long after its endpoint was added, and reset later. */
	FIREWALL_ARRIVED_S = 10,
};

struct host_config;
struct host_endpoint;

/* The commands that replace the table in one transaction, whether or not it is there. The caller
 * frees the text; NULL when there is no memory. */
char *firewall_text(const struct host_config *config);

/* The same of the table "ip6 vprox": no IPv6 comes out of a tunnel nor goes into one. */
char *firewall_text_ip6(const struct host_config *config);

/* The commands that say that the address of an endpoint has just come to this host. Likewise. */
char *firewall_text_arrival(const struct host_endpoint *endpoint);

/*
 * The commands that add an endpoint to the tables (remaining is NULL), or that take it out of them,
 * where remaining has the others: one transaction, in which nothing else is touched that packets
 * have left there. Likewise for the caller to free.
 */
char *firewall_text_change(
	const struct host_endpoint *endpoint, const struct host_config *remaining, bool has_ipv6);
