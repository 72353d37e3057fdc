/*
 * The fast path of IPIP: two small BPF programs that put the outer header on, and take it off,
 * inside the kernel, where a super-packet can stay whole (a raw socket takes no more than an MTU,
 * and gives it to the network packet by packet). What they do not handle they leave to the raw
 * socket: fragments, options, packets too long for the path, peers without an Ethernet neighbour.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

/* Key: a peer's inner address. Addresses in network byte order. */
struct ipip_tx_entry {
	struct in_addr remote;
	uint32_t interface; /* of the route to it */
	uint32_t mtu; /* of the path, for outer packets */
	uint32_t reserved;
	uint64_t bytes; /* inner packets, as sent */
	uint64_t active_ns; /* CLOCK_BOOTTIME, 0: never */
};

/* Key: a peer's outer address. */
struct ipip_rx_entry {
	struct in_addr inner; /* the only source it may have */
	uint32_t reserved;
	uint64_t bytes;
	uint64_t active_ns;
};

enum { IPIP_ENTRIES_MAX = 1 << 20 };

/* Loads the program for packets that leave by the TUN device, with a map of struct ipip_tx_entry.
 * Returns it, or -errno. */
int ipip_load_tx(int map, struct in_addr local);

/* The one for packets that arrive on an Ethernet device, with a map of struct ipip_rx_entry. */
int ipip_load_rx(int map, struct in_addr local, unsigned int tun);
