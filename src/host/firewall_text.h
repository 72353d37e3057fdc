/* The table "ip vprox" in nft's language (nft(8)). */
#pragma once

struct host_config;

/* The commands that replace the table in one transaction, whether or not it is there. The caller
 * frees the text; NULL when there is no memory. */
char *firewall_text(const struct host_config *config);
