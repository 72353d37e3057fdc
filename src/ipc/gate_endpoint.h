/* What a gate has to know of an endpoint, whose name is its bind address. */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"

struct gate_endpoint {
	struct ipv4 bind;
	struct prefix block;
	struct key public_key; /* the server's, of WireGuard */
	uint16_t port; /* UDP, of WireGuard */
	uint16_t control_port; /* TCP, of its listening socket */
};
