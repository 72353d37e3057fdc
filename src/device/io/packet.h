/*
 * Where things are in an inner packet: an IPv4 or IPv6 header and what follows it. Nothing that is
 * read from a packet is trusted beyond what is said here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PACKET_IPV4_HEADER = 20, /* without options */
	PACKET_IPV6_HEADER = 40,
	PACKET_TCP_HEADER = 20, /* without options */
	PACKET_UDP_HEADER = 8,
	PACKET_MAX = 65535, /* the longest IPv4 packet; of IPv6, the longest payload */
	PACKET_TCP = 6, /* protocol numbers */
	PACKET_UDP = 17,
};

struct packet {
	uint8_t version; /* 4 or 6 */
	size_t length; /* by the IP header: never more than what there is */
	size_t header; /* of the IP header, IPv4 options included, IPv6 extensions not */
	const uint8_t *source; /* 4 or 16 bytes inside the packet */
	const uint8_t *destination;
};

/*
 * Reads the IP header of data. Returns 0, or -EINVAL if it is no whole IPv4 or IPv6 packet: too
 * short for what its own lengths say, or of another version.
 */
int packet_parse(const uint8_t *data, size_t length, struct packet *packet);

/* Big-endian fields at any address. */
static inline uint16_t packet_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t packet_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void packet_set16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}
static inline void packet_set32(uint8_t *p, uint32_t value)
{
	packet_set16(p, (uint16_t)(value >> 16));
	packet_set16(p + 2, (uint16_t)value);
}

/* The checksum's sum (checksum.h) of the pseudo-header of TCP or UDP: RFC 9293 3.1, RFC 8200 8.1.
 * length is that of the TCP or UDP header and what follows. */
uint64_t packet_pseudo_sum(const struct packet *packet, uint8_t protocol, size_t length);
