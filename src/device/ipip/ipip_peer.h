/* An IPIP peer: known by its outer address, and allowed one inner address, or any. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "device/wireguard/target.h"

struct ipip_peer {
	struct target target; /* first: see ipip_peer_of() */
	struct allowedips_owner outer; /* in ipip.peers: the remote */
	struct in_addr remote; /* outer address of the peer */
	struct in_addr source; /* inner address, the one that may be its source; 0.0.0.0: any */
	_Atomic uint64_t active_ms; /* when bytes last moved */
	struct epoch_node retired;
};

static inline struct ipip_peer *ipip_peer_of(struct target *target)
{
	return (struct ipip_peer *)(void *)target;
}

static inline struct ipip_peer *ipip_peer_of_outer(struct allowedips_owner *outer)
{
	return (struct ipip_peer *)(void *)((char *)outer - offsetof(struct ipip_peer, outer));
}
