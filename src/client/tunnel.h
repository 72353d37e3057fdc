/* A tunnel as the server has granted it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"

enum tunnel_kind {
	TUNNEL_WIREGUARD,
	TUNNEL_IPIP,
};

struct tunnel {
	struct ipv4 inner; /* our address */
	uint8_t length; /* of the block it lies in */
	struct ipv4 server; /* its outer address: where the request went */
	struct ipv4 local; /* our outer address: where the request came from */
	struct key server_key; /* WireGuard; zero else */
	uint16_t port; /* WireGuard, UDP, host byte order; 0 else */
};

/* The block, and its first host address, the server's. */
struct prefix tunnel_block(const struct tunnel *tunnel);
struct ipv4 tunnel_gateway(const struct tunnel *tunnel);

/*
 * Whether it may be made: a server must not be able to take over this host's own addresses or a
 * large part of the Internet by the address it assigns. NULL, or what is wrong with it.
 */
const char *tunnel_fault(const struct tunnel *tunnel, enum tunnel_kind kind);

bool tunnel_equal(const struct tunnel *a, const struct tunnel *b);
