/*
 * Packets of many IPIP peers, and the namespaces that they go through: what ipip_modes.c measures.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "plane/plane.h"

enum {
	FLOOD_AT_ONCE = 64, /* packets in one call */
	FLOOD_ROUNDS = 3, /* of each flood; the best counts, for the machine is shared */
};

static const struct ipv4 flood_bind = {0xcb007101}; /* 203.0.113.1: the server */
static const struct prefix flood_block = {{0x0a400000}, 14}; /* 10.64.0.0/14: inner addresses */
static const struct ipv4 flood_nowhere = {0xc0000209}; /* 192.0.2.9: a packet to it is dropped */
static const struct ipv4 flood_elsewhere = {0xcb007102}; /* 203.0.113.2: it is sent on */

/* Packets of all peers in turn. */
struct flood {
	uint32_t n_peers, n_packets;
	bool is_out; /* to them, and not from them */
	uint32_t forged; /* added to the outer source */
	struct ipv4 outer_to, inner_to;
};

/* Makes the namespaces: the process is in the server's from now on, "bench-peers" is that of all
 * peers and of the Internet; both are gone when the process exits. Ends it where it cannot. */
void flood_make_namespaces(void);

/* The i-th peer, from 1. */
struct plane_peer flood_peer(uint32_t i);

/* Seconds, of a clock that is never set. */
double flood_now(void);

/* Sends all packets of a flood, some times over. Returns us a packet, of the best time; the
 * receiver's work is done in the sender's call. Ends the process where it cannot. */
double flood_measure(const struct flood *flood);

/* Packets that the server has sent to its neighbour. */
unsigned long flood_count_sent_on(void);
