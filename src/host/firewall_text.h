/* The table "ip vprox" in nft's language (nft(8)). */
#pragma once

struct host_config;

/* The commands that replace the table in one transaction, whether or not it is there. The caller
 * frees the text; NULL when there is no memory. */
char *firewall_text(const struct host_config *config);

/* The same of the table "ip6 vprox": no IPv6 comes out of a tunnel nor goes into one. */
char *firewall_text_ip6(const struct host_config *config);
