/* What the sender of an inner packet is told of it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { ICMP_ANSWER_MAX = 20 + 8 + 60 + 8 }; /* both headers, and what is quoted */

/*
 * Writes the packet that says that an IPv4 packet was too long for a path of this MTU, and might
 * not be cut (RFC 792; RFC 1191, section 4). Returns its length.
 */
size_t icmp_too_long(
	const uint8_t *packet, size_t length, uint16_t mtu, uint8_t answer[ICMP_ANSWER_MAX]);
