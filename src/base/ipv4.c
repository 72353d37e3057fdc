/* Parses, writes and compares addresses and prefixes. No state: any thread may call it. */
#include "base/ipv4.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ipv4_is_among(struct ipv4 address, const struct ipv4 *addresses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ipv4_equal(addresses[i], address))
			return true;
	return false;
}

struct ipv4 ipv4_from_net(uint32_t net)
{
	return (struct ipv4){ntohl(net)};
}

uint32_t ipv4_to_net(struct ipv4 address)
{
	return htonl(address.value);
}

int ipv4_parse(const char *text, struct ipv4 *address)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return -EINVAL;
	*address = ipv4_from_net(in.s_addr);
	return 0;
}

struct ipv4_text ipv4_text(struct ipv4 address)
{
	struct ipv4_text text;
	uint32_t v = address.value;

	snprintf(text.s, sizeof text.s, "%u.%u.%u.%u", v >> 24, v >> 16 & 255, v >> 8 & 255,
		v & 255);
	return text;
}

int prefix_parse(const char *text, struct prefix *prefix)
{
	char address[sizeof "255.255.255.255"];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : 0;
	unsigned int length = 0;

	if (n == 0 || n >= sizeof address)
		return -EINVAL;
	memcpy(address, text, n);
	address[n] = '\0';
	if (ipv4_parse(address, &prefix->address) < 0)
		return -EINVAL;

	const char *digits = slash + 1;
	if (*digits == '\0' || strlen(digits) > 2 || strspn(digits, "0123456789") != strlen(digits))
		return -EINVAL;
	length = (unsigned int)strtoul(digits, NULL, 10);
	if (length > 32)
		return -EINVAL;
	prefix->length = (uint8_t)length;
	prefix->address.value &= prefix_mask(prefix->length);
	return 0;
}

struct prefix_text prefix_text(struct prefix prefix)
{
	struct prefix_text text;

	snprintf(text.s, sizeof text.s, "%s/%u", ipv4_text(prefix.address).s, prefix.length % 100u);
	return text;
}

uint32_t prefix_mask(uint8_t length)
{
	return length == 0 ? 0 : UINT32_MAX << (32 - length);
}

uint64_t prefix_size(struct prefix prefix)
{
	return UINT64_C(1) << (32 - prefix.length);
}

bool prefix_equal(struct prefix a, struct prefix b)
{
	return a.length == b.length && ipv4_equal(a.address, b.address);
}

bool prefix_contains(struct prefix prefix, struct ipv4 address)
{
	return (address.value & prefix_mask(prefix.length)) == prefix.address.value;
}

bool prefix_overlaps(struct prefix a, struct prefix b)
{
	return prefix_contains(a, b.address) || prefix_contains(b, a.address);
}

struct ipv4 prefix_last(struct prefix prefix)
{
	return (struct ipv4){prefix.address.value | ~prefix_mask(prefix.length)};
}

int prefix_subnet(struct prefix prefix, uint8_t length, uint32_t index, struct prefix *subnet)
{
	if (length < prefix.length || length > 32)
		return -EINVAL;
	if (index >= UINT64_C(1) << (length - prefix.length))
		return -ERANGE;
	subnet->length = length;
	subnet->address.value = prefix.address.value | (uint32_t)((uint64_t)index << (32 - length));
	return 0;
}

bool prefix_is_private(struct prefix prefix)
{
	static const struct prefix private[] = {
		{{0x0a000000}, 8}, /* 10.0.0.0/8 */
		{{0xac100000}, 12}, /* 172.16.0.0/12 */
		{{0xc0a80000}, 16}, /* 192.168.0.0/16 */
		{{0x64400000}, 10}, /* 100.64.0.0/10 */
	};

	for (size_t i = 0; i < sizeof private / sizeof *private; i++)
		if (private[i].length <= prefix.length &&
			prefix_contains(private[i], prefix.address))
			return true;
	return false;
}
