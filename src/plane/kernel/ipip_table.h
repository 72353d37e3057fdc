/*
 * What the broker knows of the links of IPIP peers: by interface number, as the kernel's counters
 * and notices have it, and by inner address. A link that has gone is forgotten before its number,
 * which the kernel may give to another one, is looked up: see kernel_forget_gone_links().
 */
#pragma once

#include "plane/kernel/device.h"

struct link;

/* The name of a peer's link. */
struct plane_name kernel_ipip_name(const struct kernel_device *device, struct ipv4 inner);
/* The reverse; false if a link has no such name, or is a client's. */
bool kernel_ipip_parse_name(
	const struct kernel_device *device, const struct link *link, struct ipv4 *inner);
/* Whether an address can be a peer's: inside the block, none of the three that are never given out.
 */
bool kernel_holds(const struct kernel_device *device, struct ipv4 inner);
/* Whether it is the link of that peer. */
bool kernel_ipip_matches(const struct kernel_device *device, const struct link *link,
	struct ipv4 inner, struct ipv4 remote);

/* Replaces what was known of the address and of the number; 0: the peer shares its link. Returns 0
 * or -ENOMEM. */
int kernel_ipip_remember(
	struct kernel_device *device, unsigned int ifindex, struct ipv4 inner, struct ipv4 remote);
void kernel_ipip_forget(struct kernel_device *device, struct kernel_ipip *ipip);
/* NULL if there is none. */
struct kernel_ipip *kernel_ipip_of_ifindex(
	const struct kernel_device *device, unsigned int ifindex);
struct kernel_ipip *kernel_ipip_of_inner(const struct kernel_device *device, struct ipv4 inner);

/* Forgets the links that have gone since the last call, so that a number that was given to another
 * link is not taken for the old one. Returns 0 or -errno, with its text kept. */
int kernel_forget_gone_links(struct kernel_plane *kernel);
