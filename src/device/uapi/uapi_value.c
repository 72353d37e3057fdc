/* Reads numbers, endpoints and prefixes as the control socket has them. No state: any thread may
 * call it. */
#include "device/uapi/uapi_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	DECIMAL = 10,
	HEXADECIMAL = 16,
	IPV4_BITS = 32,
	IPV6_BITS = 128,
};

static const char decimal_digits[] = "0123456789";
static const char hexadecimal_digits[] = "0123456789abcdefABCDEF";

/* strtoul() alone takes spaces, signs and prefixes too. */
static int parse_digits(
	const char *text, const char *digits, int base, unsigned long max, unsigned long *number)
{
	size_t length = strspn(text, digits);

	if (length == 0 || text[length] != '\0')
		return -EINVAL;
	errno = 0;
	*number = strtoul(text, NULL, base);
	return errno != 0 || *number > max ? -EINVAL : 0;
}

int uapi_parse_number(const char *text, unsigned long max, unsigned long *number)
{
	return parse_digits(text, decimal_digits, DECIMAL, max, number);
}

int uapi_parse_mark(const char *text, uint32_t *mark)
{
	unsigned long number = 0;
	int error = 0;

	if (strncmp(text, "0x", 2) == 0)
		error = parse_digits(
			text + 2, hexadecimal_digits, HEXADECIMAL, UINT32_MAX, &number);
	else if (*text != '\0')
		error = uapi_parse_number(text, UINT32_MAX, &number);
	*mark = (uint32_t)number;
	return error;
}

int uapi_parse_true(const char *text)
{
	return strcmp(text, "true") == 0 ? 0 : -EINVAL;
}

int uapi_parse_ipv4(const char *text, struct in_addr *address)
{
	return inet_pton(AF_INET, text, address) == 1 ? 0 : -EINVAL;
}

/* What follows the '%' of an IPv6 address. */
static int parse_zone(const char *text, uint32_t *scope, char interface[IF_NAMESIZE])
{
	unsigned long number;
	size_t length = strlen(text);

	if (uapi_parse_number(text, UINT32_MAX, &number) == 0) {
		*scope = (uint32_t)number;
		return 0;
	}
	if (length == 0 || length >= IF_NAMESIZE)
		return -EINVAL;
	memcpy(interface, text, length + 1);
	return 0;
}

/* "[2001:db8::1]", with the brackets. text is written to. */
static int parse_bracketed(
	char *text, size_t length, struct sockaddr_in6 *address, char interface[IF_NAMESIZE])
{
	char *zone = strchr(text, '%');

	if (text[length - 1] != ']')
		return -EINVAL;
	text[length - 1] = '\0';
	if (zone) {
		*zone++ = '\0';
		if (parse_zone(zone, &address->sin6_scope_id, interface) < 0)
			return -EINVAL;
	}
	address->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text + 1, &address->sin6_addr) == 1 ? 0 : -EINVAL;
}

int uapi_parse_endpoint(
	const char *text, struct udp_endpoint *endpoint, char interface[IF_NAMESIZE])
{
	char host[sizeof "[]%" + INET6_ADDRSTRLEN + IF_NAMESIZE];
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	unsigned long port;

	memset(endpoint, 0, sizeof *endpoint);
	*interface = '\0';
	if (length == 0 || length >= sizeof host ||
		uapi_parse_number(colon + 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	if (*host == '[') {
		endpoint->v6.sin6_port = htons((uint16_t)port);
		return parse_bracketed(host, length, &endpoint->v6, interface);
	}
	endpoint->v4.sin_family = AF_INET;
	endpoint->v4.sin_port = htons((uint16_t)port);
	return uapi_parse_ipv4(host, &endpoint->v4.sin_addr);
}

/* Without leading zeros. */
static int parse_prefix_length(const char *text, int family, uint8_t *length)
{
	unsigned long number;

	if ((text[0] == '0' && text[1] != '\0') ||
		uapi_parse_number(text, family == AF_INET ? IPV4_BITS : IPV6_BITS, &number) < 0)
		return -EINVAL;
	*length = (uint8_t)number;
	return 0;
}

int uapi_parse_allowed_ip(const char *text, struct allowed_ip *prefix, bool *removes)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n;

	*removes = *text == '-';
	if (*removes)
		text++;
	n = slash ? (size_t)(slash - text) : 0;
	if (n == 0 || n >= sizeof address)
		return -EINVAL;
	memcpy(address, text, n);
	address[n] = '\0';
	prefix->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(prefix->family, address, prefix->address) != 1)
		return -EINVAL;
	return parse_prefix_length(slash + 1, prefix->family, &prefix->length);
}
