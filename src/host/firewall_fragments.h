/* The part of the table "ip vprox" that keeps one client from taking the memory that all fragments
 * wait in, as nft's text (nft(8)). firewall_text.h has the whole. */
#pragma once

#include <stdio.h>

struct host_config;

/* Writes two sets, and a chain of its own hook. After firewall_write_flows(), which has the
 * counter. */
void firewall_write_fragments(FILE *out, const struct host_config *config);
