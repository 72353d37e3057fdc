/*
 * Reads the peers of a device and their counters from the kernel. Runs in the server's broker.
 */
#include "plane/kernel/dump.h"

#include "base/cleanup.h"
#include "netlink/socket.h"
#include "netlink/stats.h"
#include "netlink/wireguard.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/wireguard.h"

static int report_wireguard(struct kernel_device *device, const struct wireguard_device *dump,
	plane_peer_fn *found, void *context)
{
	int result = 0;

	for (size_t i = 0; i < dump->n_peers && result == 0; i++) {
		const struct wireguard_peer *peer = &dump->peers[i];
		struct plane_peer id = {
			.kind = PEER_WIREGUARD,
			.inner = kernel_wireguard_inner(dump, peer),
			.key = peer->key,
		};
		struct plane_usage usage = {
			.received = peer->received,
			.sent = peer->sent,
			.handshake_ns = peer->handshake_ns,
			.outer = peer->outer,
			.outer_port = peer->outer_port,
		};

		result = kernel_wireguard_remember(device, &peer->key, id.inner);
		if (result < 0)
			return kernel_fail(kernel_plane_of(device), result, NULL, "read %s",
				plane_device_name(device->endpoint.index).s);
		result = found(context, &id, &usage);
	}
	return result;
}

static int report_ipip(struct kernel_device *device, const struct link_stats *stats, size_t n,
	plane_peer_fn *found, void *context)
{
	int result = 0;

	for (size_t i = 0; i < n && result == 0; i++) {
		const struct kernel_ipip *ipip = kernel_ipip_of_ifindex(device, stats[i].ifindex);
		struct plane_usage usage = {
			.received = stats[i].received,
			.sent = stats[i].sent,
		};
		struct plane_peer id = {.kind = PEER_IPIP};

		if (!ipip)
			continue;
		id.inner = ipip->inner;
		id.remote = usage.outer = ipip->remote;
		result = found(context, &id, &usage);
	}
	return result;
}

int kernel_dump(struct plane_device *plane_device, plane_peer_fn *found, void *context)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	struct kernel_plane *kernel = kernel_plane_of(device);
	auto_free struct link_stats *stats = NULL;
	struct wireguard_device dump;
	size_t n;
	int result = wireguard_get(kernel->generic, kernel->wireguard, device->ifindex, &dump);

	if (result < 0)
		return kernel_fail(kernel, result, netlink_error(kernel->generic), "read %s",
			plane_device_name(device->endpoint.index).s);
	result = stats_dump(kernel->route, &stats, &n);
	if (result < 0)
		result = kernel_fail(kernel, result, netlink_error(kernel->route), "read counters");
	/* After reading: counters of a link that took the number of one that has gone are not
	 * taken for its. */
	else
		result = kernel_forget_gone_links(kernel);
	if (result == 0)
		result = report_wireguard(device, &dump, found, context);
	if (result == 0)
		result = report_ipip(device, stats, n, found, context);
	wireguard_free(&dump);
	return result;
}
