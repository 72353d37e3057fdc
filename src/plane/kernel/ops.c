/*
 * The kernel's data plane: its table of operations, and what is left of an earlier server. Nothing
 * else of this folder includes it. Runs in the server's broker.
 */
#include "plane/plane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "netlink/flower.h"
#include "netlink/link.h"
#include "netlink/link_monitor.h"
#include "netlink/socket.h"
#include "plane/kernel/reading.h"
#include "plane/kernel/find.h"
#include "plane/kernel/ipip.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/open.h"
#include "plane/kernel/reconcile.h"
#include "plane/kernel/removal.h"
#include "plane/kernel/shared.h"
#include "plane/kernel/shared_peers.h"
#include "plane/kernel/shared_probe.h"
#include "plane/kernel/view.h"
#include "plane/kernel/wireguard.h"

static int probe(struct plane *plane)
{
	struct kernel_plane *kernel = kernel_of_plane(plane);
	int wireguard = kernel_find_wireguard(kernel);
	int ipip = link_probe_ipip(kernel->route);
	bool no_wireguard = wireguard == -ENOENT, no_ipip = ipip == -EOPNOTSUPP;

	if (wireguard < 0 && !no_wireguard)
		return wireguard;
	if (ipip == -EPERM)
		return kernel_fail(
			kernel, ipip, NULL, "no right to administer the network (CAP_NET_ADMIN)");
	if (ipip < 0 && !no_ipip)
		return kernel_fail(kernel, ipip, netlink_error(kernel->route), "look for IPIP");
	if (!no_wireguard && !no_ipip)
		return kernel->shares_ipip ? kernel_shared_probe(kernel) : 0;
	snprintf(plane->error, sizeof plane->error,
		"this kernel has no %s, and the module%s %s cannot be loaded",
		!no_ipip        ? "WireGuard"
		: !no_wireguard ? "IPIP"
				: "WireGuard and no IPIP",
		no_wireguard && no_ipip ? "s" : "",
		!no_ipip        ? "wireguard"
		: !no_wireguard ? "ipip"
				: "wireguard and ipip");
	return -EOPNOTSUPP;
}

/* What there is under an index, as far as links have been read. */
static struct plane_leftover *leftover_of_index(
	struct plane_leftover **leftovers, size_t *n, unsigned int index)
{
	struct plane_leftover *grown;

	for (size_t i = 0; i < *n; i++)
		if ((*leftovers)[i].index == index)
			return &(*leftovers)[i];
	grown = reallocarray(*leftovers, *n + 1, sizeof **leftovers);
	if (!grown)
		return NULL;
	*leftovers = grown;
	grown[*n] = (struct plane_leftover){.index = index};
	return &grown[(*n)++];
}

static int add_link(struct kernel_plane *kernel, const struct link *link,
	struct plane_leftover **leftovers, size_t *n)
{
	bool is_device = false, is_clients;
	struct plane_leftover *leftover;
	unsigned int index;
	uint32_t offset;
	struct ipv4 bind;
	int error;

	if (strcmp(link->kind, "wireguard") == 0 && plane_parse_device_name(link->name, &index))
		is_device = true;
	else if (strcmp(link->kind, "ipip") != 0 ||
		 !plane_parse_ipip_name(link->name, &index, &offset))
		return 0;
	error = kernel_is_clients(kernel, link, &is_clients);
	if (error < 0 || is_clients)
		return error;
	leftover = leftover_of_index(leftovers, n, index);
	if (!leftover)
		return kernel_fail(kernel, -ENOMEM, NULL, "list interfaces");
	if (is_device && ipv4_parse(link->alias, &bind) == 0)
		*leftover = (struct plane_leftover){index, true, bind};
	else if (!is_device && !leftover->has_bind)
		*leftover = (struct plane_leftover){index, true, link->local};
	return 0;
}

/* Of an endpoint whose own interface has gone. */
static int add_shared(struct kernel_plane *kernel, struct plane_leftover **leftovers, size_t *n)
{
	auto_free struct flower_endpoint *endpoints = NULL;
	size_t n_endpoints;
	int error = kernel_shared_list(kernel, &endpoints, &n_endpoints);

	for (size_t i = 0; i < n_endpoints && error == 0; i++) {
		const unsigned int index = kernel_shared_index(endpoints[i].chain);
		struct plane_leftover *leftover = leftover_of_index(leftovers, n, index);

		if (!leftover)
			error = kernel_fail(kernel, -ENOMEM, NULL, "list interfaces");
		else if (!leftover->has_bind)
			*leftover = (struct plane_leftover){index, true, endpoints[i].bind};
	}
	return error;
}

static int discover(struct plane *plane, plane_leftover_fn *found, void *context)
{
	struct kernel_plane *kernel = kernel_of_plane(plane);
	auto_free struct link *links = NULL;
	auto_free struct plane_leftover *leftovers = NULL;
	size_t n, n_leftovers = 0;
	int error = link_dump(kernel->route, NULL, &links, &n);

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "list interfaces");
	for (size_t i = 0; i < n && error == 0; i++)
		error = add_link(kernel, &links[i], &leftovers, &n_leftovers);
	if (error == 0)
		error = add_shared(kernel, &leftovers, &n_leftovers);
	for (size_t i = 0; i < n_leftovers && error == 0; i++)
		error = found(context, &leftovers[i]);
	return error;
}

static int remove_all(struct plane *plane, unsigned int index)
{
	struct kernel_plane *kernel = kernel_of_plane(plane);
	auto_free struct link *links = NULL;
	size_t n;
	int error = link_dump(kernel->route, NULL, &links, &n);

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "list interfaces");
	error = kernel_delete_index(kernel, index, links, n);
	return error == 0 ? kernel_shared_clear(kernel, index) : error;
}

static int refuse(struct kernel_device *device, const struct plane_peer *peer)
{
	if (!kernel_holds(device, peer->inner))
		return kernel_fail(kernel_plane_of(device), -EINVAL, NULL, "%s is no peer's in %s",
			ipv4_text(peer->inner).s, prefix_text(device->endpoint.block).s);
	/* A tunnel without a remote address would take packets from anybody. */
	if (peer->kind == PEER_IPIP && peer->remote.value == 0)
		return kernel_fail(kernel_plane_of(device), -EINVAL, NULL, "no remote address");
	return 0;
}

static int add(struct plane_device *plane_device, const struct plane_peer *peer)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	int error = refuse(device, peer);

	if (error < 0)
		return error;
	if (peer->kind == PEER_WIREGUARD)
		return kernel_wireguard_add(device, &peer->key, peer->inner);
	return kernel_plane_of(device)->shares_ipip
		       ? kernel_shared_add(device, peer, 1)
		       : kernel_ipip_add(device, peer->inner, peer->remote);
}

static int add_many(struct plane_device *plane_device, const struct plane_peer *peers, size_t n)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	const bool shares_ipip = kernel_plane_of(device)->shares_ipip;
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++)
		error = shares_ipip && peers[i].kind == PEER_IPIP ? refuse(device, &peers[i])
								  : add(plane_device, &peers[i]);
	return error == 0 && shares_ipip ? kernel_shared_add(device, peers, n) : error;
}

static int check(struct plane_device *plane_device, const struct plane_peer *peer)
{
	struct kernel_device *device = kernel_of_device(plane_device);

	if (peer->kind == PEER_WIREGUARD)
		return kernel_wireguard_check(device, &peer->key);
	return kernel_plane_of(device)->shares_ipip
		       ? kernel_shared_check(device, peer)
		       : kernel_ipip_check(device, peer->inner, peer->remote);
}

static int remove_peers(
	struct plane_device *plane_device, const struct plane_peer *peers, size_t n, int *errors)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	int error = 0;

	if (n > PLANE_REMOVAL_BATCH)
		return kernel_fail(
			kernel_plane_of(device), -EINVAL, NULL, "remove %zu peers at once", n);
	kernel_wireguard_remove(device, peers, n, errors);
	if (kernel_plane_of(device)->shares_ipip)
		kernel_shared_remove(device, peers, n, errors);
	else
		kernel_ipip_remove(device, peers, n, errors);
	for (size_t i = 0; i < n && error == 0; i++)
		error = errors[i];
	return error;
}

static int delete_all(struct kernel_device *device)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	size_t n = device->ipip_by_ifindex.count + 1, i = 0;
	auto_free unsigned int *ifindexes = calloc(n, sizeof *ifindexes);
	auto_free int *errors = calloc(n, sizeof *errors);
	int error = kernel_forget_gone_links(kernel);

	if (error < 0)
		return error;
	if (!ifindexes || !errors)
		return kernel_fail(kernel, -ENOMEM, NULL, "remove all interfaces");
	hash_for_each (&device->ipip_by_ifindex, node)
		ifindexes[i++] = hash_entry(node, struct kernel_ipip, by_ifindex)->ifindex;
	if (device->ifindex != 0) {
		kernel_wireguard_empty(kernel, device->ifindex);
		ifindexes[i++] = device->ifindex;
	}
	error = kernel_delete_links(kernel, ifindexes, i, errors);
	return error == 0 && kernel->shares_ipip
		       ? kernel_shared_clear(kernel, device->endpoint.index)
		       : error;
}

static int close_device(struct plane_device *plane_device, bool keep)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	struct kernel_plane *kernel = kernel_plane_of(device);
	int error = keep ? 0 : delete_all(device);

	for (struct kernel_device **link = &kernel->devices; *link; link = &(*link)->next) {
		if (*link == device) {
			*link = device->next;
			break;
		}
	}
	kernel_device_free(device);
	return error;
}

/* The kernel knows no other (drivers/net/wireguard/noise.c, tai64n_now()). */
static int timestamp(struct plane_device *device, uint64_t *ns)
{
	(void)device;
	*ns = clock_wall_ns();
	return 0;
}

static const uint64_t *drops(struct plane_device *device)
{
	(void)device;
	return NULL;
}

static uint64_t spoofed(struct plane *plane)
{
	return kernel_shared_count_spoofed(kernel_of_plane(plane));
}

/* It is the kernel's. */
static uint64_t memory(struct plane_device *device)
{
	(void)device;
	return 0;
}

static void free_plane(struct plane *plane)
{
	struct kernel_plane *kernel = kernel_of_plane(plane);

	link_monitor_close(kernel->monitor);
	netlink_close(kernel->generic);
	netlink_close(kernel->route);
	free(kernel);
}

static const struct plane_ops kernel_ops = {
	.name = "kernel",
	.probe = probe,
	.discover = discover,
	.remove_all = remove_all,
	.open = kernel_open,
	.view = kernel_view,
	.find = kernel_find,
	.close = close_device,
	.add = add,
	.add_many = add_many,
	.check = check,
	.remove = remove_peers,
	.read = kernel_read,
	.restore_endpoints = kernel_restore_endpoints,
	.reconcile = kernel_reconcile,
	.serve = kernel_serve,
	.timestamp = timestamp,
	.drops = drops,
	.spoofed = spoofed,
	.memory = memory,
	.free = free_plane,
};

void plane_kernel_share_ipip(struct plane *plane)
{
	kernel_of_plane(plane)->shares_ipip = true;
}

int plane_kernel_remove_probe(struct plane *plane, bool is_dry_run)
{
	return kernel_shared_remove_probe(kernel_of_plane(plane), is_dry_run);
}

struct plane *plane_kernel_new(void)
{
	struct kernel_plane *kernel = calloc(1, sizeof *kernel);
	int error;

	if (!kernel)
		return NULL;
	kernel->plane.ops = &kernel_ops;
	error = netlink_open(NETLINK_ROUTE, &kernel->route);
	if (error == 0)
		error = netlink_open(NETLINK_GENERIC, &kernel->generic);
	if (error == 0)
		error = link_monitor_open(&kernel->monitor);
	if (error < 0) {
		free_plane(&kernel->plane);
		errno = -error;
		return NULL;
	}
	return &kernel->plane;
}
