/*
 * Reads the peers of a device and their counters from the kernel: first WireGuard's, then the links
 * of IPIP, or the filters of the interface that these peers share, each over a socket of its own.
 * Runs in the server's broker.
 */
#include "plane/kernel/reading.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>

#include "base/array.h"
#include "netlink/flower.h"
#include "netlink/socket.h"
#include "netlink/stats.h"
#include "netlink/wireguard.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/shared.h"
#include "plane/kernel/wireguard.h"

struct kernel_reading {
	struct plane_reading reading; /* first */
	struct kernel_device *device;
	struct netlink *generic; /* NULL: that part is over */
	struct netlink *route;
	unsigned int n_cut; /* times that it ended early */
	struct wireguard_device peers; /* of the last piece */
	struct link_stats *stats; /* likewise */
	size_t n_stats;
	struct flower_place filters; /* where peers share an interface: those that are read */
	uint32_t number; /* likewise: of this reading */
	int result; /* likewise: of found() */
	plane_peer_fn *found;
	void *context;
};

static struct kernel_reading *kernel_of_reading(struct plane_reading *reading)
{
	return (struct kernel_reading *)reading;
}

static void end(struct plane_reading *reading)
{
	struct kernel_reading *kernel = kernel_of_reading(reading);

	netlink_close(kernel->generic);
	netlink_close(kernel->route);
	wireguard_free(&kernel->peers);
	free(kernel->stats);
	free(kernel);
}

static int fail(const struct kernel_reading *reading, int error, const struct netlink *netlink)
{
	const struct kernel_device *device = reading->device;

	return kernel_fail(kernel_plane_of(device), error, netlink ? netlink_error(netlink) : NULL,
		"read %s", plane_device_name(device->endpoint.index).s);
}

static int report_peer(const struct kernel_reading *reading, const struct wireguard_peer *peer)
{
	const struct plane_peer id = {
		.kind = PEER_WIREGUARD,
		.inner = kernel_wireguard_inner(&reading->peers, peer),
		.key = peer->key,
	};
	const struct plane_usage usage = {
		.received = peer->received,
		.sent = peer->sent,
		.handshake_ns = peer->handshake_ns,
		.outer = peer->outer,
		.outer_port = peer->outer_port,
	};
	int error = kernel_wireguard_remember(reading->device, &peer->key, id.inner);

	return error < 0 ? fail(reading, error, NULL)
			 : reading->found(reading->context, &id, &usage);
}

static int report_link(const struct kernel_reading *reading, const struct link_stats *stats)
{
	const struct kernel_ipip *ipip = kernel_ipip_of_ifindex(reading->device, stats->ifindex);
	struct plane_usage usage = {.received = stats->received, .sent = stats->sent};
	struct plane_peer id = {.kind = PEER_IPIP};

	if (!ipip)
		return 0;
	id.inner = ipip->inner;
	id.remote = usage.outer = ipip->remote;
	return reading->found(reading->context, &id, &usage);
}

/* The last peer of a piece may go on in the next one: it is handed over with that. */
static int report_peers(struct kernel_reading *reading, bool is_last)
{
	const size_t n = reading->peers.n_peers;
	const size_t n_whole = is_last || n == 0 ? n : n - 1;
	int result = 0;

	for (size_t i = 0; i < n_whole && result == 0; i++)
		result = report_peer(reading, &reading->peers.peers[i]);
	wireguard_keep_peers_from(&reading->peers, n_whole);
	return result;
}

static int keep_stats(void *context, size_t number, const struct nlmsghdr *message)
{
	struct kernel_reading *reading = context;
	struct link_stats *grown =
		array_grow(reading->stats, reading->n_stats, sizeof *reading->stats);
	int result;

	(void)number;
	if (!grown)
		return -ENOMEM;
	reading->stats = grown;
	result = stats_decode(message, NULL, &grown[reading->n_stats]);
	if (result > 0)
		reading->n_stats++;
	return result < 0 ? result : 0;
}

static int next_links(struct kernel_reading *reading)
{
	int result, error;

	reading->n_stats = 0;
	result = netlink_dump_next(reading->route, keep_stats, reading);
	if (result < 0)
		return fail(reading, result, reading->route);
	/* After reading: counters of a link that took the number of one that has gone are not
	 * taken for its. */
	error = kernel_forget_gone_links(kernel_plane_of(reading->device));
	for (size_t i = 0; i < reading->n_stats && error == 0; i++)
		error = report_link(reading, &reading->stats[i]);
	return error != 0 ? error : result;
}

/* What a peer was sent is kept until what it has sent is read: it has both filters then. */
static int take_filter(struct kernel_reading *reading, const struct flower_peer *filter)
{
	struct kernel_ipip *ipip = kernel_ipip_of_inner(reading->device, filter->inner);
	const struct plane_peer id = {
		.kind = PEER_IPIP, .inner = filter->inner, .remote = filter->remote};
	struct plane_usage usage = {.received = filter->bytes, .outer = filter->remote};

	if (!ipip || ipip->ifindex != 0 || !ipv4_equal(ipip->remote, filter->remote))
		return 0;
	if (reading->filters.direction == FLOWER_SENT) {
		ipip->sent = filter->bytes;
		ipip->met_sent = reading->number;
		return 0;
	}
	if (ipip->met_sent < reading->number)
		return 0;
	if (ipip->met < reading->number)
		ipip->met = reading->number;
	usage.sent = ipip->sent;
	return reading->found(reading->context, &id, &usage);
}

static int keep_filter(void *context, size_t number, const struct nlmsghdr *message)
{
	struct kernel_reading *reading = context;
	struct flower_peer filter;
	int result = flower_decode_peer(message, &reading->filters, &filter);

	(void)number;
	if (result > 0 && reading->result == 0)
		reading->result = take_filter(reading, &filter);
	return result < 0 ? result : 0;
}

static int begin_filters(struct kernel_reading *reading, enum flower_direction direction)
{
	int error;

	reading->filters = kernel_shared_place(reading->device, direction);
	error = flower_dump_begin(reading->route, &reading->filters);
	return error < 0 ? fail(reading, error, reading->route) : 1;
}

static int next_filters(struct kernel_reading *reading)
{
	int result = netlink_dump_next(reading->route, keep_filter, reading);

	if (reading->result != 0)
		return reading->result;
	if (kernel_shared_has_no_filters(result))
		result = 0;
	if (result < 0)
		return fail(reading, result, reading->route);
	if (result == 0 && reading->filters.direction == FLOWER_SENT)
		return begin_filters(reading, FLOWER_RECEIVED);
	if (result == 0)
		reading->device->n_read = reading->number;
	return result;
}

static int begin_shared(struct kernel_reading *reading)
{
	reading->number = ++reading->device->n_readings;
	return begin_filters(reading, FLOWER_SENT);
}

static int begin_links(struct kernel_reading *reading)
{
	int error = netlink_open(NETLINK_ROUTE, &reading->route);

	if (error == 0)
		error = kernel_plane_of(reading->device)->shares_ipip
				? begin_shared(reading)
				: stats_dump_begin(reading->route);
	if (error < 0)
		return fail(reading, error, reading->route);
	reading->reading.fd = netlink_fd(reading->route);
	netlink_close(reading->generic);
	reading->generic = NULL;
	return 1;
}

static int begin_peers(struct kernel_reading *reading)
{
	const struct kernel_device *device = reading->device;

	return wireguard_get_begin(
		reading->generic, kernel_plane_of(device)->wireguard, device->ifindex);
}

/* The others are read from the first one on. */
static int begin_peers_again(struct kernel_reading *reading)
{
	int error = begin_peers(reading);

	reading->n_cut++;
	return error < 0 ? fail(reading, error, reading->generic) : 1;
}

static int next_peers(struct kernel_reading *reading)
{
	const size_t n_before = reading->peers.n_peers;
	int result = wireguard_get_next(reading->generic, &reading->peers);
	/* Where the peer that the kernel has come to was removed it ends with an empty piece:
	 * drivers/net/wireguard/netlink.c, wg_get_device_dump(). */
	bool is_cut = result == 0 && n_before > 0 && reading->peers.n_peers == n_before;
	int error;

	if (result < 0)
		return fail(reading, result, reading->generic);
	error = report_peers(reading, result == 0);
	if (error != 0)
		return error;
	if (is_cut && reading->n_cut < NETLINK_DUMP_TRIES)
		return begin_peers_again(reading);
	return result > 0 ? result : begin_links(reading);
}

static int next(struct plane_reading *reading)
{
	struct kernel_reading *kernel = kernel_of_reading(reading);

	if (kernel->generic)
		return next_peers(kernel);
	return kernel_plane_of(kernel->device)->shares_ipip ? next_filters(kernel)
							    : next_links(kernel);
}

int kernel_read(struct plane_device *device, plane_peer_fn *found, void *context,
	struct plane_reading **reading)
{
	struct kernel_reading *kernel = calloc(1, sizeof *kernel);
	int error = -ENOMEM;

	if (!kernel)
		return kernel_fail(kernel_of_plane(device->plane), error, NULL, "read peers");
	kernel->reading = (struct plane_reading){.next = next, .end = end};
	kernel->device = kernel_of_device(device);
	kernel->found = found;
	kernel->context = context;
	error = netlink_open(NETLINK_GENERIC, &kernel->generic);
	if (error == 0)
		error = begin_peers(kernel);
	if (error < 0) {
		error = fail(kernel, error, kernel->generic);
		end(&kernel->reading);
		return error;
	}
	kernel->reading.fd = netlink_fd(kernel->generic);
	*reading = &kernel->reading;
	return 0;
}
