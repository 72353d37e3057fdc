/* The part of the table "ip vprox" that says where what comes out of a tunnel may go, as nft's text
 * (nft(8)). firewall_text.h has the whole. */
#pragma once

#include <stdio.h>

struct host_config;

/*
 * Writes sets, counters and chains for the others to jump to, all of packets that came out of a
 * tunnel with a source of their own:
 *   carried      in prerouting: drops the protocols that no tunnel may speak
 *   to_host      in input
 *   to_network   in forward, unless they go into a tunnel
 *   errors       in input and forward: ICMP errors
 */
void firewall_write_egress(FILE *out, const struct host_config *config);
