/*
 * Which IPIP peers take the fast path (ipip_bpf.h), by the kernel's route to each. Where it cannot
 * be had, all goes by the raw socket. The control thread's.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/ipip/ipip_peer.h"
#include "device/ipip/ipip_programs.h"

struct netlink;

/* What only the privileged helper may do, with ipip_programs.h. Return 0 or -errno. */
struct fast_path_ops {
	/* The maps are then the caller's. */
	int (*open)(
		void *context, struct in_addr local, unsigned int tun, int *tx_map, int *rx_map);
	int (*attach)(void *context, unsigned int interface);
	int (*close)(void *context);
};

struct fast_path {
	int tx_map, rx_map; /* -1: there is none */
	struct netlink *netlink;
	struct in_addr local; /* outer source address */
	uint32_t mark; /* of the outer packets; 0: none */
	unsigned int n_uplinks;
	unsigned int uplinks[IPIP_UPLINKS_MAX]; /* to which the program for arriving packets is
						 * attached */
	const struct fast_path_ops *ops;
	void *context;
};

/* Bytes that have moved through a peer, on both paths. */
struct ipip_usage {
	uint64_t sent, received;
	uint64_t active_ms; /* of the device's clock, 0: never */
};

/* Opens what it needs while it still may; there are no programs yet. Returns 0 or -errno. */
int fast_path_init(struct fast_path *path, const struct fast_path_ops *ops, void *context);
void fast_path_free(struct fast_path *path);

/* For this local address and TUN (its ifindex), without peers: fast_path_update() each. Returns 0,
 * or -errno: the kernel refuses, and there is none. */
int fast_path_open(struct fast_path *path, struct in_addr local, unsigned int tun);
void fast_path_close(struct fast_path *path);

/* Goes on with one that another process has opened: with its maps, and where it is attached. Both
 * maps are then its own. */
void fast_path_adopt(struct fast_path *path, struct in_addr local, int tx_map, int rx_map,
	const unsigned int *uplinks, unsigned int n_uplinks);

/* Lets go of one that another process goes on with: nothing of it is taken away. */
void fast_path_leave(struct fast_path *path);

static inline bool fast_path_is_open(const struct fast_path *path)
{
	return path->tx_map >= 0;
}

/* A peer that is new, or to which the way may have changed: links, addresses, routes, the mark.
 * Without a fast path nothing happens, nor to a peer that may have any inner address. */
void fast_path_update(struct fast_path *path, const struct ipip_peer *peer);
void fast_path_remove(struct fast_path *path, const struct ipip_peer *peer);

struct ipip_usage fast_path_usage(const struct fast_path *path, const struct ipip_peer *peer);
