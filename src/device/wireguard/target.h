/* What an inner address leads to: a peer of either kind, in the one table of inner addresses. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>

#include "device/wireguard/allowedips.h"
#include "device/wireguard/peer.h"
#include "device/wireguard/peer_address.h"

enum target_kind {
	TARGET_WIREGUARD,
	TARGET_IPIP,
};

struct target {
	struct allowedips_owner inner; /* its prefixes. First: see target_of() */
	enum target_kind kind;
	struct target *next, *previous; /* all of a device's, in the order they were made */
	/* Bytes as WireGuard counts them: whole UDP payloads, of authentic messages. IPIP: inner
	 * packets. */
	_Atomic uint64_t received, sent;
};

struct waiting;

struct wireguard_target {
	struct target target;
	struct peer peer;
	struct whereabouts where;
	_Atomic(struct waiting *) waiting; /* what was to be sent before there was a key */
};

struct ipip_target {
	struct target target;
	struct allowedips_owner outer; /* in the table of outer addresses: the remote */
	struct in_addr remote; /* outer address of the peer */
	struct in_addr source; /* inner address, the one that may be its source; 0.0.0.0: any */
	_Atomic uint64_t active_ms; /* when bytes last moved */
	struct epoch_node retired;
};

static inline struct target *target_of(struct allowedips_owner *owner)
{
	return (struct target *)(void *)owner;
}

static inline struct wireguard_target *target_wireguard(struct target *target)
{
	return (struct wireguard_target *)(void *)target;
}

static inline struct ipip_target *target_ipip(struct target *target)
{
	return (struct ipip_target *)(void *)target;
}

static inline struct wireguard_target *target_of_peer(struct peer *peer)
{
	return (struct wireguard_target *)(void *)((char *)peer -
						   offsetof(struct wireguard_target, peer));
}
