/*
 * The kernel's data plane, inside: vprox<i> of kind wireguard, and vp<i>-<n> of kind ipip with a
 * host route for each IPIP peer. Included by kernel*.c only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "netlink/link.h"
#include "netlink/link_monitor.h"
#include "netlink/socket.h"
#include "plane/plane.h"

enum {
	/* Links that are about to be deleted together are put in this group. An unlikely number:
	 * whatever else is in it would be deleted with them. */
	KERNEL_REMOVAL_GROUP = 0x76705f72,
};

struct kernel_device;
struct wireguard_device;

struct kernel_plane {
	struct plane plane;
	struct netlink *route;
	struct netlink *generic;
	struct link_monitor *monitor;
	uint16_t wireguard; /* the generic netlink family; 0: not asked for yet */
	bool ipv6_stays; /* it could not be switched off, and that has been logged */
	struct kernel_device *devices; /* those that are open */
};

/* An IPIP peer. */
struct kernel_ipip {
	struct hash_node by_ifindex, by_inner;
	unsigned int ifindex;
	struct ipv4 inner, remote;
	bool seen; /* in the present dump */
};

/* A WireGuard peer that this plane has written or read. */
struct kernel_wireguard {
	struct hash_node by_key;
	struct key key;
	struct ipv4 inner; /* all it may send from; 0.0.0.0: something else too, or nothing */
};

/* What plane.h hands out: the start of a kernel_device. */
struct plane_device {
	struct plane *plane;
};

struct kernel_device {
	struct plane_device device;
	struct kernel_device *next;
	struct plane_endpoint endpoint; /* without the private key */
	unsigned int ifindex; /* of vprox<i>; 0: somebody has deleted it */
	struct hash_table ipip_by_ifindex, ipip_by_inner;
	struct hash_table wireguard_by_key;
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

/*
 * Keeps the text of an error, "<what was tried>: <the errno's text> (<what the kernel said>)", and
 * returns the error. said may be NULL or "".
 */
__attribute__((format(printf, 4, 5))) int kernel_fail(
	struct kernel_plane *kernel, int error, const char *said, const char *format, ...);

/* Forgets the links that have gone since the last call, so that a number that was given to another
 * link is not taken for the old one. */
int kernel_forget_gone_links(struct kernel_plane *kernel);

/* kernel_ipip.c: IPIP peers and their links. */

/* The name of a peer's link. */
struct plane_name kernel_ipip_name(const struct kernel_device *device, struct ipv4 inner);
/* Whether an address can be a peer's: inside the block, none of the three that are never given out.
 */
bool kernel_holds(const struct kernel_device *device, struct ipv4 inner);
/* Whether it is the link of that peer. */
bool kernel_ipip_matches(const struct kernel_device *device, const struct link *link,
	struct ipv4 inner, struct ipv4 remote);
int kernel_ipip_add(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote);
/* Adds two messages to a request: the link up (of_group: and out of the removal group), its route.
 */
void kernel_ipip_put_mended(
	struct netlink_request *request, unsigned int ifindex, struct ipv4 inner, bool of_group);
int kernel_ipip_check(struct kernel_device *device, struct ipv4 inner, struct ipv4 remote);
/* Removes those of the peers that are IPIP's; n is PLANE_REMOVAL_BATCH at the most. */
void kernel_ipip_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors);
/* No IPv6 on a link: it would give each an address and routes, and slow down every new one. */
void kernel_switch_off_ipv6(struct kernel_plane *kernel, const char *name);
/* The table. Remembering replaces what was known of the address and of the ifindex. */
int kernel_ipip_remember(
	struct kernel_device *device, unsigned int ifindex, struct ipv4 inner, struct ipv4 remote);
void kernel_ipip_forget(struct kernel_device *device, struct kernel_ipip *ipip);
struct kernel_ipip *kernel_ipip_of_ifindex(
	const struct kernel_device *device, unsigned int ifindex);

/* kernel_wireguard.c: the interface vprox<i> and WireGuard peers. */

/* Makes sure the family is known. */
int kernel_find_wireguard(struct kernel_plane *kernel);
/* Whether the link is a client's (client_link.h): by its alias, or without one by its key. */
int kernel_is_clients(struct kernel_plane *kernel, const struct link *link, bool *is_clients);
int kernel_wireguard_add(struct kernel_device *device, const struct key *key, struct ipv4 inner);
int kernel_wireguard_check(struct kernel_device *device, const struct key *key);
/* plane_ops.seek */
int kernel_seek(
	struct plane_device *device, const struct plane_peer *peer, const struct plane_usage *last);
/* Removes those of the peers that are WireGuard's, in one request. */
void kernel_wireguard_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors);
/* The peer need not be known; 0.0.0.0 as in struct kernel_wireguard. */
int kernel_wireguard_remember(
	struct kernel_device *device, const struct key *key, struct ipv4 inner);

/* kernel_removal.c: deleting links, many at once. */

/*
 * Deletes the links, any number. errors[i] is 0 if the i-th is gone, also if it was before. Returns
 * 0 if all are, else the first error, whose text is kept.
 */
int kernel_delete_links(
	struct kernel_plane *kernel, const unsigned int *ifindexes, size_t n, int *errors);
/* Deletes every link of ours under an index: what else has one of the names is left alone, and
 * logged. */
int kernel_delete_index(
	struct kernel_plane *kernel, unsigned int index, const struct link *links, size_t n);

/* kernel_open.c: making or adopting the device of an endpoint. */

int kernel_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **device);
void kernel_free_device(struct kernel_device *device);

/* kernel_tend.c: putting right what others have changed. */

/* Gives vprox<i> what it lacks, as found in link; made: by us just now, so that nothing it lacks
 * is worth a line in the log. */
int kernel_configure_link(struct kernel_device *device, const struct link *link, bool made);
int kernel_tend(struct plane_device *device);

/* kernel_adopt.c: taking over the peers that are there. Both remove and log what does not match. */

int kernel_adopt_wireguard(struct kernel_device *device, const struct wireguard_device *dump);
/* To be called after the other: if both kinds hold an address, it is the WireGuard peer's. */
int kernel_adopt_ipip(struct kernel_device *device, const struct link *links, size_t n);

/* kernel_dump.c */

int kernel_dump(struct plane_device *device, plane_peer_fn *found, void *context);
