/*
 * The IPIP peers that are there of the interface that they share: found, adopted, and moved to it
 * or from it where the last server had the other mode. Runs in the server's broker, when a device
 * was opened, and in `vprox check`.
 */
#include "plane/kernel/shared_found.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/flower.h"
#include "netlink/link.h"
#include "netlink/socket.h"
#include "plane/kernel/host_routes.h"
#include "plane/kernel/ipip.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/removal.h"
#include "plane/kernel/shared.h"
#include "plane/kernel/shared_peers.h"

static int compare_inner(const void *a, const void *b)
{
	const struct flower_peer *left = a, *right = b;

	return (left->inner.value > right->inner.value) - (left->inner.value < right->inner.value);
}

static int list(const struct kernel_device *device, enum flower_direction direction,
	struct flower_peer **peers, size_t *n)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct flower_place place = kernel_shared_place(device, direction);
	int error = flower_dump_peers(kernel->route, &place, peers, n);

	if (kernel_shared_has_no_filters(error))
		error = 0;
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route),
			"read the filters of %s", PLANE_SHARED_IPIP_NAME);
	if (*n > 0)
		qsort(*peers, *n, sizeof **peers, compare_inner);
	return 0;
}

/* What there is of an endpoint's peers, each sorted by inner address. */
struct listing {
	unsigned int ifindex;
	struct flower_peer *received, *sent;
	struct route *routes;
	size_t n_received, n_sent, n_routes;
};

static void free_listing(struct listing *listing)
{
	free(listing->received);
	free(listing->sent);
	free(listing->routes);
}

static int read_all(const struct kernel_device *device, struct listing *all)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	int error = list(device, FLOWER_RECEIVED, &all->received, &all->n_received);

	all->ifindex = kernel->shared_ifindex;
	if (error == 0)
		error = list(device, FLOWER_SENT, &all->sent, &all->n_sent);
	return error == 0 ? kernel_host_routes(kernel, all->ifindex, &all->routes, &all->n_routes)
			  : error;
}

/* A peer of which one half is missing, or the halves of which differ, has no remote address. */
static struct plane_found describe(const struct listing *all, const struct flower_peer *received,
	const struct flower_peer *sent)
{
	struct plane_found found = {
		.peer = {.kind = PEER_IPIP, .inner = received ? received->inner : sent->inner},
		.interface = {PLANE_SHARED_IPIP_NAME},
	};

	if (sent)
		found.local = sent->bind;
	if (received && sent && ipv4_equal(received->remote, sent->remote))
		found.peer.remote = sent->remote;
	if (kernel_has_host_route(all->routes, all->n_routes, all->ifindex, found.peer.inner))
		found.routed = found.peer.inner;
	return found;
}

/* Both lists side by side. */
static int report_all(const struct listing *all, plane_found_fn *found, void *context)
{
	size_t i = 0, j = 0;
	int result = 0;

	while (result == 0 && (i < all->n_received || j < all->n_sent)) {
		const struct flower_peer *received = i < all->n_received ? &all->received[i] : NULL;
		const struct flower_peer *sent = j < all->n_sent ? &all->sent[j] : NULL;
		struct plane_found one;

		if (received && sent && compare_inner(received, sent) < 0)
			sent = NULL;
		else if (received && sent && compare_inner(received, sent) > 0)
			received = NULL;
		i += received != NULL;
		j += sent != NULL;
		one = describe(all, received, sent);
		result = found(context, &one);
	}
	return result;
}

int kernel_shared_find_peers(struct kernel_device *device, plane_found_fn *found, void *context)
{
	struct listing all = {0};
	int result = kernel_shared_find(kernel_plane_of(device));

	if (result == 0 && kernel_plane_of(device)->shared_ifindex != 0) {
		result = read_all(device, &all);
		if (result == 0)
			result = report_all(&all, found, context);
	}
	free_listing(&all);
	return result;
}

static int remember_found(void *context, const struct plane_found *found)
{
	struct kernel_device *device = context;

	/* Half of one is for the server to remove, not to be made again. */
	if (found->peer.remote.value == 0)
		return 0;
	return kernel_ipip_remember(device, 0, found->peer.inner, found->peer.remote);
}

int kernel_shared_adopt(struct kernel_device *device)
{
	int error = kernel_shared_find_peers(device, remember_found, device);

	return error == -ENOMEM ? kernel_fail(kernel_plane_of(device), error, NULL, "adopt %s",
					  PLANE_SHARED_IPIP_NAME)
				: error;
}

/* Whether that is a tunnel of a peer of the device's. */
static bool can_move(const struct kernel_device *device, struct ipv4 inner, struct ipv4 local,
	struct ipv4 remote)
{
	return kernel_holds(device, inner) && remote.value != 0 &&
	       ipv4_equal(local, device->endpoint.bind);
}

int kernel_shared_move_in(struct kernel_device *device, const struct link *links, size_t n)
{
	auto_free struct plane_peer *peers = calloc(n + 1, sizeof *peers);
	auto_free unsigned int *ifindexes = calloc(n + 1, sizeof *ifindexes);
	auto_free int *errors = calloc(n + 1, sizeof *errors);
	size_t n_peers = 0, n_links = 0;
	struct ipv4 inner;
	int error;

	if (!peers || !ifindexes || !errors)
		return kernel_fail(kernel_plane_of(device), -ENOMEM, NULL, "move IPIP peers");
	for (size_t i = 0; i < n; i++) {
		if (!kernel_ipip_parse_name(device, &links[i], &inner) ||
			strcmp(links[i].kind, "ipip") != 0)
			continue;
		ifindexes[n_links++] = links[i].ifindex;
		if (can_move(device, inner, links[i].local, links[i].remote))
			peers[n_peers++] = (struct plane_peer){
				.kind = PEER_IPIP, .inner = inner, .remote = links[i].remote};
		else
			log_warning("removing %s: it is no peer's, from %s to %s", links[i].name,
				ipv4_text(links[i].local).s, ipv4_text(links[i].remote).s);
	}
	if (n_links == 0)
		return 0;
	/* The routes lead to the new interface from then on; what peers send still comes by the
	 * old ones until these are gone. */
	error = kernel_shared_add(device, peers, n_peers);
	if (error == 0)
		error = kernel_delete_links(kernel_plane_of(device), ifindexes, n_links, errors);
	if (error == 0)
		log_info("%s: %zu IPIP peers share %s now, each had an interface before",
			plane_device_name(device->endpoint.index).s, n_peers,
			PLANE_SHARED_IPIP_NAME);
	return error;
}

struct moving {
	struct kernel_device *device;
	size_t n;
};

static int move_peer(void *context, const struct plane_found *found)
{
	struct moving *moving = context;
	struct kernel_device *device = moving->device;
	const struct plane_peer *peer = &found->peer;
	int error;

	if (!can_move(device, peer->inner, found->local, peer->remote)) {
		log_warning("removing what %s has for %s: it is no peer's", PLANE_SHARED_IPIP_NAME,
			ipv4_text(peer->inner).s);
		return 0;
	}
	error = kernel_ipip_add(device, peer->inner, peer->remote);
	if (error == 0)
		moving->n++;
	return error;
}

int kernel_shared_move_out(struct kernel_device *device)
{
	struct moving moving = {.device = device};
	int error = kernel_shared_find_peers(device, move_peer, &moving);

	if (error == 0)
		error = kernel_shared_clear(kernel_plane_of(device), device->endpoint.index);
	if (error == 0 && moving.n > 0)
		log_info("%s: each of %zu IPIP peers has an interface now, they shared %s before",
			plane_device_name(device->endpoint.index).s, moving.n,
			PLANE_SHARED_IPIP_NAME);
	return error;
}
