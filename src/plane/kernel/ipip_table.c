/*
 * The table of IPIP peers' links, and what keeps it true to the kernel: notices of links that have
 * gone. Runs in the server's broker.
 */
#include "plane/kernel/ipip_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "netlink/link.h"
#include "netlink/link_monitor.h"
#include "netlink/socket.h"
#include "plane/client_link.h"

struct plane_name kernel_ipip_name(const struct kernel_device *device, struct ipv4 inner)
{
	return plane_ipip_name(
		device->endpoint.index, inner.value - device->endpoint.gateway.value);
}

bool kernel_ipip_parse_name(
	const struct kernel_device *device, const struct link *link, struct ipv4 *inner)
{
	unsigned int index;
	uint32_t offset;

	if (!plane_parse_ipip_name(link->name, &index, &offset) ||
		index != device->endpoint.index || client_link_has_alias(link))
		return false;
	inner->value = device->endpoint.gateway.value + offset;
	return true;
}

bool kernel_holds(const struct kernel_device *device, struct ipv4 inner)
{
	const struct plane_endpoint *endpoint = &device->endpoint;

	return prefix_contains(endpoint->block, inner) &&
	       !ipv4_equal(inner, endpoint->block.address) &&
	       !ipv4_equal(inner, endpoint->gateway) &&
	       !ipv4_equal(inner, prefix_last(endpoint->block));
}

bool kernel_ipip_matches(const struct kernel_device *device, const struct link *link,
	struct ipv4 inner, struct ipv4 remote)
{
	return strcmp(link->kind, "ipip") == 0 && !client_link_has_alias(link) &&
	       strcmp(link->name, kernel_ipip_name(device, inner).s) == 0 &&
	       ipv4_equal(link->local, device->endpoint.bind) && ipv4_equal(link->remote, remote);
}

static bool has_ifindex(const struct hash_node *node, const void *key)
{
	const struct kernel_ipip *ipip = hash_entry(node, const struct kernel_ipip, by_ifindex);

	return ipip->ifindex == *(const unsigned int *)key;
}

static bool has_inner(const struct hash_node *node, const void *key)
{
	const struct kernel_ipip *ipip = hash_entry(node, const struct kernel_ipip, by_inner);

	return ipip->inner.value == *(const uint32_t *)key;
}

struct kernel_ipip *kernel_ipip_of_ifindex(const struct kernel_device *device, unsigned int ifindex)
{
	struct hash_node *node =
		hash_find(&device->ipip_by_ifindex, &ifindex, sizeof ifindex, has_ifindex);

	return node ? hash_entry(node, struct kernel_ipip, by_ifindex) : NULL;
}

struct kernel_ipip *kernel_ipip_of_inner(const struct kernel_device *device, struct ipv4 inner)
{
	struct hash_node *node =
		hash_find(&device->ipip_by_inner, &inner.value, sizeof inner.value, has_inner);

	return node ? hash_entry(node, struct kernel_ipip, by_inner) : NULL;
}

void kernel_ipip_forget(struct kernel_device *device, struct kernel_ipip *ipip)
{
	if (ipip->ifindex != 0)
		hash_remove(&device->ipip_by_ifindex, &ipip->by_ifindex);
	hash_remove(&device->ipip_by_inner, &ipip->by_inner);
	free(ipip);
}

int kernel_ipip_remember(
	struct kernel_device *device, unsigned int ifindex, struct ipv4 inner, struct ipv4 remote)
{
	struct kernel_ipip *ipip = malloc(sizeof *ipip), *old;

	if (!ipip)
		return -ENOMEM;
	if ((old = kernel_ipip_of_inner(device, inner)))
		kernel_ipip_forget(device, old);
	if (ifindex != 0 && (old = kernel_ipip_of_ifindex(device, ifindex)))
		kernel_ipip_forget(device, old);
	*ipip = (struct kernel_ipip){
		.ifindex = ifindex,
		.inner = inner,
		.remote = remote,
		.routed = device->n_passes,
		.met = device->n_readings,
	};
	if (ifindex != 0)
		hash_insert(&device->ipip_by_ifindex, &ipip->by_ifindex, &ipip->ifindex,
			sizeof ipip->ifindex);
	hash_insert(&device->ipip_by_inner, &ipip->by_inner, &ipip->inner.value,
		sizeof ipip->inner.value);
	return 0;
}

static void forget_link(void *context, unsigned int ifindex)
{
	struct kernel_plane *kernel = context;

	/* Its peers are known still: they are given to the next one. */
	if (ifindex == kernel->shared_ifindex)
		kernel->shared_ifindex = 0;
	for (struct kernel_device *device = kernel->devices; device; device = device->next) {
		struct kernel_ipip *ipip = kernel_ipip_of_ifindex(device, ifindex);

		if (ipip)
			kernel_ipip_forget(device, ipip);
		if (device->ifindex == ifindex)
			device->ifindex = 0;
	}
}

/* Forgets the IPIP peers whose links are not among these. */
static void forget_missing_links(struct kernel_device *device, const struct link *links, size_t n)
{
	hash_for_each (&device->ipip_by_ifindex, node)
		hash_entry(node, struct kernel_ipip, by_ifindex)->seen = false;
	for (size_t i = 0; i < n; i++) {
		struct kernel_ipip *ipip = kernel_ipip_of_ifindex(device, links[i].ifindex);

		if (ipip)
			ipip->seen =
				kernel_ipip_matches(device, &links[i], ipip->inner, ipip->remote);
	}
	hash_for_each (&device->ipip_by_ifindex, node) {
		struct kernel_ipip *ipip = hash_entry(node, struct kernel_ipip, by_ifindex);

		if (!ipip->seen)
			kernel_ipip_forget(device, ipip);
	}
}

static bool has_ifindex_among(const struct link *links, size_t n, unsigned int ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (links[i].ifindex == ifindex)
			return true;
	return false;
}

int kernel_forget_gone_links(struct kernel_plane *kernel)
{
	auto_free struct link *links = NULL;
	size_t n;
	int error = link_monitor_read(kernel->monitor, forget_link, kernel);

	if (error == 0)
		return 0;
	if (error != -ENOBUFS)
		return kernel_fail(kernel, error, NULL, "read which interfaces have gone");
	error = link_dump(kernel->route, "ipip", &links, &n);
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "list interfaces");
	for (struct kernel_device *device = kernel->devices; device; device = device->next)
		forget_missing_links(device, links, n);
	if (!has_ifindex_among(links, n, kernel->shared_ifindex))
		kernel->shared_ifindex = 0;
	return 0;
}
