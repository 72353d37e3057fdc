/*
 * WireGuard interfaces of the kernel (linux/wireguard.h). "Peer" is the protocol's word here: a
 * public key, and the addresses that packets from it may have.
 *
 * All functions take a socket of NETLINK_GENERIC and the family's number, which
 * genetlink_family(netlink, "wireguard", ...) finds. -ENODEV: there is no such interface;
 * -EOPNOTSUPP: it is of another kind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"

struct netlink;
struct netlink_request;
struct nlmsghdr;

enum {
	WIREGUARD_REMOVAL_MAX = 200, /* peers in one wireguard_remove_peers() */
	WIREGUARD_PLACES_MAX = 100, /* in one wireguard_restore_places() */
};

struct wireguard_peer {
	struct key key; /* public */
	struct ipv4 outer; /* where its last authenticated packet came from; 0.0.0.0: unknown, or
			      IPv6 */
	uint16_t outer_port; /* likewise, host byte order */
	uint64_t handshake_ns; /* ns since 1970; 0: never */
	uint64_t received; /* bytes */
	uint64_t sent; /* bytes */
	size_t n_allowed; /* IPv4 networks it may send from, ... */
	size_t first_allowed; /* ... beginning here in the device's array */
	size_t n_allowed_ipv6;
};

struct wireguard_device {
	unsigned int ifindex;
	struct key private_key; /* zero: none */
	uint16_t port; /* UDP, host byte order */
	struct wireguard_peer *peers;
	size_t n_peers;
	struct prefix *allowed;
	size_t n_allowed;
};

/* The private key is left alone if NULL. Setting what is set already changes nothing. */
int wireguard_configure(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *private_key, uint16_t port);

/*
 * Makes a peer, or adds the network to those of one that is there; replace: it becomes the only
 * one, and for a moment none is. If another peer had exactly this network, it loses it. The
 * interface's own public key makes no peer, and no error.
 */
int wireguard_set_peer(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *key, struct prefix allowed, bool replace);

/* A mark on the encrypted packets, for policy rules to tell them by; 0: none. */
int wireguard_set_mark(
	struct netlink *netlink, uint16_t family, unsigned int ifindex, uint32_t mark);

/* Where a peer is to be found. */
struct wireguard_endpoint {
	struct ipv4 address;
	uint16_t port; /* UDP, host byte order */
	uint16_t keepalive_s; /* 0: none */
};

/*
 * Makes a peer the one that all of IPv4 leads to, or changes one that is there without interrupting
 * its traffic. alone: all peers are removed first, this one too, so that it is as new.
 */
int wireguard_set_client_peer(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *key, const struct wireguard_endpoint *endpoint, bool alone);

/* Where a peer was last. */
struct wireguard_place {
	struct key key; /* public */
	struct ipv4 outer;
	uint16_t outer_port; /* host byte order */
};

/*
 * Sets where the peers are, and sends each a keepalive, which takes a handshake where there are no
 * keys, in this order. Ends persistent keepalives. Passes over those that are not there. n:
 * WIREGUARD_PLACES_MAX at the most; after an error any of them may have been set.
 */
int wireguard_restore_places(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct wireguard_place *places, size_t n);

/* Those that are not there are passed over. n: WIREGUARD_REMOVAL_MAX at the most. */
int wireguard_remove_peers(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	const struct key *keys, size_t n);

/* Likewise all there are, however many. The kernel's lock of the network (RTNL) is held meanwhile.
 */
int wireguard_remove_all_peers(struct netlink *netlink, uint16_t family, unsigned int ifindex);

/* Reads the device and all its peers. To be freed with wireguard_free(). */
int wireguard_get(struct netlink *netlink, uint16_t family, unsigned int ifindex,
	struct wireguard_device *device);

/* Likewise in pieces, for who has others to serve in between: netlink_dump_begin() over a socket
 * that is asked nothing else. Each piece is added to the device, which is zeroed before the first;
 * its last peer may go on in the next one. Returns as netlink_dump_next(). */
int wireguard_get_begin(struct netlink *netlink, uint16_t family, unsigned int ifindex);
int wireguard_get_next(struct netlink *netlink, struct wireguard_device *device);
/* Forgets the peers before that one. */
void wireguard_keep_peers_from(struct wireguard_device *device, size_t first);

/* Frees what it holds and wipes the private key. */
void wireguard_free(struct wireguard_device *device);

/* The encoding by itself, for tests; decode adds a part of the answer to the device. */
void wireguard_put_peer(struct netlink_request *request, uint16_t family, unsigned int ifindex,
	const struct key *key, struct prefix allowed, bool replace);
void wireguard_put_places(struct netlink_request *request, uint16_t family, unsigned int ifindex,
	const struct wireguard_place *places, size_t n);
void wireguard_put_removal(struct netlink_request *request, uint16_t family, unsigned int ifindex,
	const struct key *keys, size_t n);
int wireguard_decode(const struct nlmsghdr *message, struct wireguard_device *device);
