/*
 * The Internet checksum (RFC 1071). Sums are kept as the bytes lie in memory, so that a folded
 * one is stored as it is, whatever the host's byte order.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Adds data to a sum; what was added before must have been of even length. Never overflows for less
 * than 4 GiB of data. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t length);

/* The 16 bits of a sum, not yet complemented. */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

/* The checksum field of a header that has one for itself, which must hold zero there: of IPv4, or
 * of ICMP with what follows it. Stored as it is. */
static inline uint16_t checksum_field(const void *header, size_t length)
{
	return (uint16_t)~checksum_fold(checksum_add(0, header, length));
}
