/*
 * Reads what there is of peers from the kernel, as it is: WireGuard's with their allowed-ips,
 * IPIP's with their links' addresses and routes. Runs in the server's broker, when a device was
 * opened.
 */
#include "plane/kernel/find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "netlink/wireguard.h"
#include "plane/kernel/device.h"
#include "plane/kernel/host_routes.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/shared_found.h"
#include "plane/kernel/wireguard.h"

static int report_wireguard(struct kernel_device *device, const struct wireguard_device *dump,
	plane_found_fn *found, void *context)
{
	int result = 0;

	for (size_t i = 0; i < dump->n_peers && result == 0; i++) {
		const struct plane_found one = {
			.peer = {.kind = PEER_WIREGUARD,
				.inner = kernel_wireguard_inner(dump, &dump->peers[i]),
				.key = dump->peers[i].key},
		};

		if (kernel_wireguard_remember(device, &one.peer.key, one.peer.inner) < 0)
			return kernel_fail(kernel_plane_of(device), -ENOMEM, NULL, "read %s",
				plane_device_name(device->endpoint.index).s);
		result = found(context, &one);
	}
	return result;
}

static int find_wireguard(struct kernel_device *device, plane_found_fn *found, void *context)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct wireguard_device dump;
	int result = wireguard_get(kernel->generic, kernel->wireguard, device->ifindex, &dump);

	if (result < 0)
		return kernel_fail(kernel, result, netlink_error(kernel->generic), "read %s",
			plane_device_name(device->endpoint.index).s);
	result = report_wireguard(device, &dump, found, context);
	wireguard_free(&dump);
	return result;
}

/* What is routed over a link: the wanted address if that is, else another one, or 0.0.0.0. */
static struct ipv4 routed_over(
	const struct route *routes, size_t n, unsigned int ifindex, struct ipv4 wanted)
{
	struct ipv4 other = {0};
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (routes[middle].oif < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < n && routes[low].oif == ifindex; low++) {
		other = routes[low].destination.address;
		if (ipv4_equal(other, wanted))
			return wanted;
	}
	return other;
}

/* The link of an IPIP peer under the index, with what its name, addresses and routes say. */
static bool describe_link(const struct kernel_device *device, const struct link *link,
	const struct route *routes, size_t n_routes, struct plane_found *found)
{
	struct ipv4 inner;

	if (!kernel_ipip_parse_name(device, link, &inner))
		return false;
	*found = (struct plane_found){
		.peer = {.kind = PEER_IPIP, .inner = inner, .remote = link->remote},
		.interface = kernel_ipip_name(device, inner),
		.local = link->local,
		.routed = routed_over(routes, n_routes, link->ifindex, inner),
	};
	return true;
}

static int find_ipip(struct kernel_device *device, plane_found_fn *found, void *context)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	auto_free struct link *links = NULL;
	auto_free struct route *routes = NULL;
	size_t n_links, n_routes;
	int result = link_dump(kernel->route, "ipip", &links, &n_links);

	if (result < 0)
		return kernel_fail(kernel, result, netlink_error(kernel->route), "list interfaces");
	result = kernel_host_routes(kernel, 0, &routes, &n_routes);
	for (size_t i = 0; i < n_links && result == 0; i++) {
		struct plane_found one;

		if (describe_link(device, &links[i], routes, n_routes, &one))
			result = found(context, &one);
	}
	return result;
}

int kernel_find(struct plane_device *plane_device, plane_found_fn *found, void *context)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	int result = find_wireguard(device, found, context);

	if (result == 0)
		result = find_ipip(device, found, context);
	return result == 0 ? kernel_shared_find_peers(device, found, context) : result;
}
