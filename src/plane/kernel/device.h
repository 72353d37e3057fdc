/*
 * The kernel's data plane, inside: vprox<i> of kind wireguard, and vp<i>-<n> of kind ipip with a
 * host route for each IPIP peer, or one interface that they share (shared.h). For the files of this
 * folder only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "plane/plane.h"

struct kernel_device;
struct link_monitor;
struct netlink;

struct kernel_plane {
	struct plane plane; /* first */
	struct netlink *route;
	struct netlink *generic;
	struct link_monitor *monitor;
	uint16_t wireguard; /* the generic netlink family; 0: not asked for yet */
	bool shares_ipip; /* --ipip-mode=shared */
	unsigned int shared_ifindex; /* of the interface that IPIP peers share; 0: there is none */
	uint64_t n_spoofed; /* packets, of all endpoints: kernel_shared_count_spoofed() */
	bool ipv6_stays; /* it could not be switched off, and that has been logged */
	struct kernel_device *devices; /* those that are open */
};

/* Putting the links of IPIP peers right, a piece at a time; reconcile.c's. */
struct kernel_pass {
	bool runs;
	struct netlink *routes; /* that are being read; NULL: they are all known */
	struct hash_walk walk; /* over the links, after that */
	size_t n_mended;
	struct plane_name first; /* of them */
	int error; /* the first */
};

struct kernel_device {
	struct plane_device device; /* first */
	struct kernel_device *next;
	struct plane_endpoint endpoint; /* without the private key */
	unsigned int ifindex; /* of vprox<i>; 0: somebody has deleted it */
	struct hash_table ipip_by_ifindex, ipip_by_inner; /* ipip_table.h */
	struct hash_table wireguard_by_key; /* wireguard.h */
	struct kernel_pass pass;
	uint64_t n_dropped; /* packets, as the endpoint's chain of filters had counted at last */
	uint32_t n_passes;
	uint32_t n_readings; /* that have begun */
	uint32_t n_read; /* number of the last one that was read to its end */
};

/* An IPIP peer. */
struct kernel_ipip {
	struct hash_node by_ifindex, by_inner; /* the first is in no table where ifindex is 0 */
	unsigned int ifindex; /* of its own link; 0: it shares one */
	struct ipv4 inner, remote;
	bool seen; /* in the present dump */
	uint32_t routed; /* number of the last pass that it had its route in, or was made in */
	/* Where it shares one: the last reading that has met what was sent, and both filters. */
	uint32_t met_sent, met;
	uint64_t sent; /* bytes */
};

/* A WireGuard peer that this plane has written or read. */
struct kernel_wireguard {
	struct hash_node by_key;
	struct key key;
	struct ipv4 inner; /* all it may send from; 0.0.0.0: something else too, or nothing */
};

static inline struct kernel_plane *kernel_of_plane(struct plane *plane)
{
	return (struct kernel_plane *)plane;
}

static inline struct kernel_device *kernel_of_device(struct plane_device *device)
{
	return (struct kernel_device *)device;
}

static inline struct kernel_plane *kernel_plane_of(const struct kernel_device *device)
{
	return kernel_of_plane(device->device.plane);
}

/* What the broker has of a device, with empty tables; no interface is made. NULL: no memory. */
struct kernel_device *kernel_device_new(
	struct kernel_plane *kernel, const struct plane_endpoint *endpoint);
/* Frees the tables too; the interfaces stay. NULL is fine. */
void kernel_device_free(struct kernel_device *device);

/*
 * Keeps the text of an error, "<what was tried>: <the errno's text> (<what the kernel adds>)", and
 * returns the error. detail may be NULL or "".
 */
__attribute__((format(printf, 4, 5))) int kernel_fail(
	struct kernel_plane *kernel, int error, const char *detail, const char *format, ...);
