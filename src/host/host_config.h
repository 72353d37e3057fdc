/* What the rooms of host/ have to know of the server that they prepare the host for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "host/egress_policy.h"
#include "host/internal_network.h"

struct confinement;
struct confining;

/* One of --ip, and what its interfaces are called: vprox<index> and vp<index>-<n>, where IPIP peers
 * do not share one. */
struct host_endpoint {
	unsigned int index;
	struct ipv4 bind; /* outer address */
	struct prefix block;
	uint16_t port; /* UDP, of WireGuard, host byte order */
	bool is_followed; /* by --follow: the address is nobody's of ours to add, keep or remove */
};

struct host_config {
	const struct host_endpoint *endpoints;
	size_t n_endpoints;
	size_t max_endpoints; /* that there can be while the server runs; at least n_endpoints */
	struct prefix whole_block; /* --wg-block: all endpoints' blocks lie in it */
	uint8_t block_length; /* of each of these */
	bool allow_peer_to_peer;
	bool shares_ipip; /* IPIP peers have the interface PLANE_SHARED_IPIP_NAME */
	struct egress_policy policy;
	struct internal_network internal;
	struct confinement *confinement; /* who reaches some destinations alone; NULL: nobody */
	/* What is known of who reaches what before any tunnel is there. */
	const struct confining *confining;
	size_t n_confining;
	bool takes_over; /* addresses come from other hosts, with their connections */
	bool finds_sockets; /* the kernel's nftables can look for a packet's socket; host.c's */
};
