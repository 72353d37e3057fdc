/*
 * The interface that IPIP peers share (--ipip-mode=shared): of a namespace the kernel allows one,
 * so that it is that of all endpoints. Of each endpoint it has a chain of filters, index + 1, with
 * two filters for each peer (netlink/flower.h), and a host route for each peer. A packet that is
 * received needs the mark that its peer's filter gives it (src/host/firewall_text.c): while
 * somebody has taken the filters away, nothing comes in. Errors have their text kept.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>

#include "netlink/flower.h"
#include "plane/kernel/device.h"

/* Looks for the interface, and makes none: kernel->shared_ifindex. Returns 0 also if it is not
 * there, or another one has its name. */
int kernel_shared_find(struct kernel_plane *kernel);

/*
 * The interface with its hook (its peers' filters: see kernel_reconcile()), and what leads to the
 * endpoint's chain, unless that is standby: what is missing is made, and that is logged unless
 * is_new. The chain's filters stay as they are. Never -ENODEV, which would mean the endpoint's own
 * interface.
 */
int kernel_shared_ensure(struct kernel_device *device, bool is_new);

/* What the chain has counted up to now is of an earlier server. */
void kernel_shared_begin_count(struct kernel_device *device);
/* Packets that the chains of the devices that are open have dropped, since these were opened or
 * before: what the kernel does not tell counts later. */
uint64_t kernel_shared_count_spoofed(struct kernel_plane *kernel);

/* Removes all there is of an index; if no other one has anything, the interface too. */
int kernel_shared_clear(struct kernel_plane *kernel, unsigned int index);

/* The endpoints that there are of it. The array is the caller's to free. */
int kernel_shared_list(struct kernel_plane *kernel, struct flower_endpoint **endpoints, size_t *n);

/* Where the filters of an endpoint's peers are. */
struct flower_place kernel_shared_place(
	const struct kernel_device *device, enum flower_direction direction);

/* Whether the answer to a filter's message is that there are none, as the interface has gone, or
 * somebody has removed the hook (net/sched/cls_api.c, __tcf_qdisc_find()). */
static inline bool kernel_shared_has_no_filters(int error)
{
	return error == -ENODEV || error == -EINVAL;
}

/* The index that a chain is of, and the reverse. */
static inline unsigned int kernel_shared_index(uint32_t chain)
{
	return chain - 1;
}

static inline uint32_t kernel_shared_chain(unsigned int index)
{
	return index + 1;
}
