/* The interface vprox<i> of kind wireguard, and its peers. Errors have their text kept. */
#pragma once

#include "plane/kernel/device.h"

struct link;
struct wireguard_device;
struct wireguard_peer;

/* Makes sure that the generic netlink family is known, which may load the module. */
int kernel_find_wireguard(struct kernel_plane *kernel);
/* Whether the link is a client's (client_link.h): by its alias, or without one by its key. */
int kernel_is_clients(struct kernel_plane *kernel, const struct link *link, bool *is_clients);

/* Makes the peer, or writes it again: plane_ops.add. */
int kernel_wireguard_add(struct kernel_device *device, const struct key *key, struct ipv4 inner);
/* plane_ops.check */
int kernel_wireguard_check(struct kernel_device *device, const struct key *key);
/* plane_ops.restore_endpoints */
int kernel_restore_endpoints(struct plane_device *device, const struct plane_peer *peers,
	const struct plane_usage *lasts, size_t n);
/* Removes those of the peers that are WireGuard's, in one request. */
void kernel_wireguard_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors);
/*
 * Removes all peers of an interface that is to be deleted. The kernel would wait for an RCU grace
 * period for each by itself, too, but for a plain one, some 10 ms: it does so without RTNL
 * (drivers/net/wireguard/device.c, wg_destruct(); net/core/dev.c, synchronize_net()). By request
 * it is an expedited one. What cannot be done is logged: deleting it takes longer then.
 */
void kernel_wireguard_empty(struct kernel_plane *kernel, unsigned int ifindex);
/* The one address that a peer may send from; 0.0.0.0: it has none, or something else too. */
struct ipv4 kernel_wireguard_inner(
	const struct wireguard_device *dump, const struct wireguard_peer *peer);
/* The peer need not be known; 0.0.0.0 as in struct kernel_wireguard. Returns 0 or -ENOMEM. */
int kernel_wireguard_remember(
	struct kernel_device *device, const struct key *key, struct ipv4 inner);
