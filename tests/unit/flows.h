/* Packets of random TCP and UDP flows for the tests of segmentation, with checksums computed the
 * slow way. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

enum { FLOW_PACKET_MAX = 10 + 65536 + 64 };

struct flow {
	uint8_t version; /* 4 or 6 */
	bool udp;
	uint8_t ip_options; /* bytes of IPv4 options or of an IPv6 hop-by-hop header */
	uint8_t tcp_options; /* bytes, a multiple of 4 */
	bool dont_fragment;
	uint8_t address; /* tells flows apart */
	uint16_t id;
	uint32_t sequence;
};

/* The naive ones'-complement sum of big-endian words, folded. */
uint16_t naive_sum(uint32_t sum, const uint8_t *data, size_t length);

/* Whether the IPv4 header's and the TCP or UDP checksum are right. */
bool checksums_are_good(const uint8_t *packet, size_t length);

/*
 * Writes a super-packet with a random payload, and its virtio_net_hdr as the kernel gives it (the
 * checksum field holds the pseudo-header's sum). step: payload bytes a segment; a payload of at
 * most step is a single packet with its checksum left to do. Advances the flow as the segments do.
 * Returns the length.
 */
size_t flow_super_packet(struct flow *flow, size_t payload, size_t step, uint8_t tcp_flags,
	struct virtio_net_hdr *header, uint8_t *packet);

/* Offset of the TCP or UDP header. */
size_t flow_transport(const struct flow *flow);
