/*
 * Marks of congestion through a tunnel (RFC 6040): the outer header has the inner one's ECN field
 * when it enters (4.1, normal mode: it is copied), and what the path did to it is carried over to
 * the inner header when it leaves (4.2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum ecn {
	ECN_NONE = 0, /* Not-ECT: its sender does not know of ECN */
	ECN_ECT1 = 1,
	ECN_ECT0 = 2,
	ECN_CE = 3, /* congestion experienced */
	ECN_MASK = 3,
};

enum {
	/* The TOS byte or traffic class of handshake messages: AF41 (RFC 2597). Transport messages
	 * say nothing of what they carry but its ECN field. */
	DSCP_HANDSHAKE = 0x88,
};

/* Of a packet of either family, as packet_parse() takes it. */
uint8_t ecn_get(const uint8_t *packet);

/* Changes the packet's field as the outer header's asks for, and the IPv4 checksum by as much: a
 * wrong one stays wrong. False: it is to be dropped. */
bool ecn_decapsulate(uint8_t *packet, uint8_t outer);
