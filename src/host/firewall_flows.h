/* The part of the table "ip vprox" that keeps one client from taking what all need, source ports
 * and room for connections, as nft's text (nft(8)). firewall_text.h has the whole. */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct host_config;

/* How many packets, connections and sources of tunnels a set that packets fill has room for: all
 * addresses of all blocks, up to a limit. */
uint64_t firewall_peers_room(const struct host_config *config);

/* Writes a set that packets fill, with the addresses of peers: it has room for all of them, so that
 * nobody can fill it up. type and timeout ("10s", since an element was updated) are nft's; with
 * NULL for the timeout an element stays for as long as something is counted of it. */
void firewall_write_set_of_peers(FILE *out, const struct host_config *config, const char *name,
	const char *type, const char *timeout);

/*
 * Writes sets, counters and two chains:
 *   new_flow     in input and forward: for a packet that would begin a connection
 *   source_nat   in postrouting, the hook of NAT: gives what leaves a source of the host's
 */
void firewall_write_flows(FILE *out, const struct host_config *config);

/*
 * nft's commands that refuse all new connections out of tunnels, for FIREWALL_CLOSED_S seconds
 * unless they are run again, and that let them through again. Each is one transaction, whatever was
 * before.
 */
extern const char firewall_close_new_flows[], firewall_open_new_flows[];

enum {
	FIREWALL_CLOSED_S = 15,
};
