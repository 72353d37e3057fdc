/* Cryptokey routing, the readers' side (allowedips.h). */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "device/wireguard/allowedips.h"

/* By any thread, within its epoch. NULL if no prefix contains the address. */
struct allowedips_owner *allowedips_lookup4(
	const struct allowedips *table, const struct in_addr *address);
struct allowedips_owner *allowedips_lookup6(
	const struct allowedips *table, const struct in6_addr *address);

/* The inner packet's destination (to send) or source (received). NULL also if it is no whole IPv4
 * or IPv6 header. */
struct allowedips_owner *allowedips_lookup_destination(
	const struct allowedips *table, const uint8_t *packet, size_t length);
struct allowedips_owner *allowedips_lookup_source(
	const struct allowedips *table, const uint8_t *packet, size_t length);
