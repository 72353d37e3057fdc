/* The table "ip vprox" in nft's language (nft(8)). */
#pragma once

enum {
	/* A connection out of a tunnel whose beginning this host has not seen is dropped for so
	 * long after its endpoint was added, and reset later. */
	FIREWALL_ARRIVED_S = 10,
};

struct host_config;

/* The commands that replace the table in one transaction, whether or not it is there. The caller
 * frees the text; NULL when there is no memory. */
char *firewall_text(const struct host_config *config);

/* The same of the table "ip6 vprox": no IPv6 comes out of a tunnel nor goes into one. */
char *firewall_text_ip6(const struct host_config *config);
