/* Where the fields are in IPv4, IPv6, TCP and UDP headers, in bytes, and what some of them hold:
 * RFC 791, RFC 8200, RFC 9293 and RFC 768. */
#pragma once

enum {
	IPV4_TOS = 1,
	IPV4_TOTAL_LENGTH = 2,
	IPV4_ID = 4,
	IPV4_FRAGMENT = 6,
	IPV4_TTL = 8,
	IPV4_PROTOCOL = 9,
	IPV4_CHECKSUM = 10,
	IPV4_SOURCE = 12,
	IPV4_DESTINATION = 16,

	IPV4_PLAIN = 0x45, /* the first byte, without options */
	IPV4_DF = 0x4000, /* of IPV4_FRAGMENT */
	IPV4_NOT_DF = 0xbfff, /* the reserved bit, more fragments, the offset */
};

enum {
	IPV6_CLASS = 1, /* its lower half, where the ECN field is, is the upper half of this byte */
	IPV6_PAYLOAD_LENGTH = 4,
	IPV6_NEXT_HEADER = 6,
	IPV6_SOURCE = 8,
	IPV6_DESTINATION = 24,
};

enum {
	TCP_SEQUENCE = 4,
	TCP_ACKNOWLEDGEMENT = 8,
	TCP_DATA_OFFSET = 12, /* the upper half, in words of 4 bytes */
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	TCP_URGENT = 18,

	TCP_FIN = 0x01, /* flags */
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

enum {
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
};
