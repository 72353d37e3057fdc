/*
 * A client's device: one peer, the server, which all of IPv4 leads to. `vprox connect` sets it; the
 * embedded plane only asks whether a device is a client's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"

struct client_peer {
	const struct key *private_key;
	uint32_t mark; /* of the outer packets, for policy rules to tell them by */
	struct key server_key; /* WireGuard */
	struct ipv4 server;
	uint16_t port; /* WireGuard: UDP, host byte order; 0: an IPIP tunnel */
	uint16_t keepalive_s;
	struct ipv4 local; /* IPIP: the outer address on this side */
};

/*
 * Sets the device's key, mark and one peer. A peer that is there already goes on without
 * interruption, but for alone: all peers are removed first, this one too, so that it is as new.
 * Returns 0 or -errno.
 */
int client_peer_set(const char *name, const struct client_peer *peer, bool alone);

/* Tells a device of the MTU of an interface that is in another namespace. Returns 0 or -errno:
 * -EINVAL, it is of an earlier version. */
int client_peer_set_mtu(const char *name, uint32_t mtu);

/* What can be asked of a device that somebody else has made. Return 0, -ENOENT if it is not so, or
 * -errno. */
int client_peer_check_private_key(const char *name, const struct key *private_key);
int client_peer_check_only_key(const char *name, const struct key *public_key);

/* When the peer has last shaken hands, ns since 1970; 0: never, or there is no such peer. Returns 0
 * or -errno. */
int client_peer_get_handshake(const char *name, const struct key *public_key, uint64_t *ns);
