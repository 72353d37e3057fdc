/* The values of the control socket's lines, read from text. No state: any thread may call it. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>

#include "device/io/udp_endpoint.h"
#include "device/wireguard/allowedips.h"

/* All return 0 or -EINVAL, and change nothing then but what the result is written to. */

/* Decimal digits and nothing else. */
int uapi_parse_number(const char *text, unsigned long max, unsigned long *number);
/* A firewall mark: a number, in hexadecimal too if it begins with 0x, as wg(8) takes it; empty: 0.
 */
int uapi_parse_mark(const char *text, uint32_t *mark);
/* "true", which alone is allowed. */
int uapi_parse_true(const char *text);
/* An IPv4 address, network byte order. */
int uapi_parse_ipv4(const char *text, struct in_addr *address);
/*
 * "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%2]:51820", "[fe80::1%eth0]:51820". Where the
 * zone is no number, it is written to interface, for the caller to find; else that is "".
 */
int uapi_parse_endpoint(
	const char *text, struct udp_endpoint *endpoint, char interface[IF_NAMESIZE]);
/* "192.0.2.0/24", or with a "-" before it for a prefix that is to be taken away. */
int uapi_parse_allowed_ip(const char *text, struct allowed_ip *prefix, bool *removes);
