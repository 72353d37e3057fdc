/* IPv4 addresses and prefixes, in host byte order everywhere but on the wire. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipv4 {
	uint32_t value; /* host byte order: 10.0.0.1 is 0x0a000001 */
};

struct prefix {
	struct ipv4 address; /* host bits are zero */
	uint8_t length; /* 0 to 32 */
};

/* Texts are returned by value, so that a log line can say ipv4_text(a).s. */
struct ipv4_text {
	char s[sizeof "255.255.255.255"];
};
struct prefix_text {
	char s[sizeof "255.255.255.255/32"];
};

static inline bool ipv4_equal(struct ipv4 a, struct ipv4 b)
{
	return a.value == b.value;
}

/* Whether it is one of these n addresses. */
bool ipv4_is_among(struct ipv4 address, const struct ipv4 *addresses, size_t n);

/* From and to network byte order, as sockets and netlink have it. */
struct ipv4 ipv4_from_net(uint32_t net);
uint32_t ipv4_to_net(struct ipv4 address);

/* Dotted quad only, nothing before or after it. Returns 0 or -EINVAL. */
int ipv4_parse(const char *text, struct ipv4 *address);
struct ipv4_text ipv4_text(struct ipv4 address);

/* "ADDRESS/LENGTH"; host bits are masked off. Returns 0 or -EINVAL. */
int prefix_parse(const char *text, struct prefix *prefix);
struct prefix_text prefix_text(struct prefix prefix);

/* The netmask of a length, host byte order; length 0 to 32. */
uint32_t prefix_mask(uint8_t length);

/* The number of addresses in it: 1 for a /32, 2^32 for a /0. */
uint64_t prefix_size(struct prefix prefix);
bool prefix_equal(struct prefix a, struct prefix b);
bool prefix_contains(struct prefix prefix, struct ipv4 address);
bool prefix_overlaps(struct prefix a, struct prefix b);

/* Whether all of it is private (RFC 1918), or shared with a provider (RFC 6598). */
bool prefix_is_private(struct prefix prefix);

/* The last address: the broadcast address of a subnet. */
struct ipv4 prefix_last(struct prefix prefix);

/*
 * The index-th block of the given length inside a prefix. Returns 0, -EINVAL if length is shorter
 * than the prefix's or over 32, -ERANGE if there are not that many.
 */
int prefix_subnet(struct prefix prefix, uint8_t length, uint32_t index, struct prefix *subnet);
