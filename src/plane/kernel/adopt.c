/*
 * Takes over the peers that are there. Runs in the server's broker.
 */
#include "plane/kernel/adopt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/socket.h"
#include "netlink/wireguard.h"
#include "plane/client_link.h"
#include "plane/kernel/ipip.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/removal.h"
#include "plane/kernel/wireguard.h"

enum {
	REASON_SIZE = 128,
};

/* Whether a WireGuard peer can stay, its address then being dump->allowed[first_allowed]; else why
 * not. */
static bool is_sound(const struct kernel_device *device, const struct wireguard_device *dump,
	const struct wireguard_peer *peer, char reason[REASON_SIZE])
{
	const struct prefix *allowed;

	if (peer->n_allowed != 1 || peer->n_allowed_ipv6 != 0) {
		snprintf(reason, REASON_SIZE, "it has %zu allowed-ips, not one of IPv4",
			peer->n_allowed + peer->n_allowed_ipv6);
		return false;
	}
	allowed = &dump->allowed[peer->first_allowed];
	if (allowed->length != 32 || !kernel_holds(device, allowed->address)) {
		snprintf(reason, REASON_SIZE, "%s is no address of a peer in %s",
			prefix_text(*allowed).s, prefix_text(device->endpoint.block).s);
		return false;
	}
	return true;
}

static int remove_unsound(struct kernel_device *device, const struct key *keys, size_t n)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	int error = wireguard_remove_peers(
		kernel->generic, kernel->wireguard, device->ifindex, keys, n);

	if (error < 0)
		kernel_fail(kernel, error, netlink_error(kernel->generic), "remove peers of %s",
			plane_device_name(device->endpoint.index).s);
	return error;
}

int kernel_adopt_wireguard(struct kernel_device *device, const struct wireguard_device *dump)
{
	struct plane_name name = plane_device_name(device->endpoint.index);
	struct key unsound[PLANE_REMOVAL_BATCH];
	size_t n_unsound = 0;
	int error = 0;

	for (size_t i = 0; i < dump->n_peers && error == 0; i++) {
		const struct wireguard_peer *peer = &dump->peers[i];
		char reason[REASON_SIZE];

		if (is_sound(device, dump, peer, reason)) {
			error = kernel_wireguard_remember(
				device, &peer->key, dump->allowed[peer->first_allowed].address);
			continue;
		}
		log_warning("%s: removing WireGuard peer %s: %s", name.s, key_text(&peer->key).s,
			reason);
		unsound[n_unsound++] = peer->key;
		if (n_unsound == PLANE_REMOVAL_BATCH) {
			error = remove_unsound(device, unsound, n_unsound);
			n_unsound = 0;
		}
	}
	if (error == -ENOMEM)
		kernel_fail(kernel_plane_of(device), error, NULL, "adopt %s", name.s);
	if (error == 0 && n_unsound > 0)
		error = remove_unsound(device, unsound, n_unsound);
	return error;
}

/* What the links are held against. */
struct evidence {
	struct route *routes; /* of single addresses, sorted by interface */
	size_t n_routes;
	uint32_t *taken; /* addresses of WireGuard peers, host byte order, sorted */
	size_t n_taken;
};

static int compare_routes(const void *a, const void *b)
{
	const struct route *left = a, *right = b;

	return left->oif < right->oif ? -1 : left->oif > right->oif;
}

static int compare_addresses(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

static int gather(struct kernel_device *device, struct evidence *evidence)
{
	static const struct route_filter filter = {.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.scope_at_least = RT_SCOPE_LINK,
		.length_min = 32,
		.length_max = 32};
	struct kernel_plane *kernel = kernel_plane_of(device);
	int error = route_dump(kernel->route, &filter, &evidence->routes, &evidence->n_routes);

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "list routes");
	if (evidence->n_routes > 0)
		qsort(evidence->routes, evidence->n_routes, sizeof *evidence->routes,
			compare_routes);
	evidence->taken = calloc(device->wireguard_by_key.count + 1, sizeof *evidence->taken);
	if (!evidence->taken)
		return kernel_fail(kernel, -ENOMEM, NULL, "list addresses");
	hash_for_each (&device->wireguard_by_key, node)
		evidence->taken[evidence->n_taken++] =
			hash_entry(node, struct kernel_wireguard, by_key)->inner.value;
	qsort(evidence->taken, evidence->n_taken, sizeof *evidence->taken, compare_addresses);
	return 0;
}

/* What the routes over a link say: whether it has the one it needs, else another one. */
static bool has_route(const struct evidence *evidence, unsigned int ifindex, struct ipv4 inner,
	const struct route **other)
{
	size_t low = 0, high = evidence->n_routes;

	*other = NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (evidence->routes[middle].oif < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < evidence->n_routes && evidence->routes[low].oif == ifindex; low++) {
		if (ipv4_equal(evidence->routes[low].destination.address, inner))
			return true;
		*other = &evidence->routes[low];
	}
	return false;
}

/* Brings back what a link lacks: the route, being up. */
static int heal(
	struct kernel_device *device, const struct link *link, struct ipv4 inner, bool routed)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	bool down = !(link->flags & IFF_UP), marked = link->group == KERNEL_REMOVAL_GROUP;
	struct netlink_request request;

	kernel_switch_off_ipv6(kernel, link->name);
	if (!down && !marked && routed)
		return 0;
	netlink_request_init(&request);
	kernel_ipip_put_mended(&request, link->ifindex, inner, marked);
	log_info("%s: mending it:%s%s%s", link->name, down ? " it was down;" : "",
		marked ? " it was about to be removed;" : "", routed ? "" : " it had no route;");
	return netlink_execute(kernel->route, &request);
}

/* Adopts a link, or says why not. Returns 1 if adopted, 0 if it must go, or a negative errno. */
static int adopt_link(struct kernel_device *device, const struct evidence *evidence,
	const struct link *link, uint32_t offset, char reason[REASON_SIZE])
{
	struct ipv4 inner = {device->endpoint.gateway.value + offset};
	const struct route *other;
	bool routed = has_route(evidence, link->ifindex, inner, &other);
	int error;

	if (!ipv4_equal(link->local, device->endpoint.bind))
		snprintf(reason, REASON_SIZE, "its local address is %s", ipv4_text(link->local).s);
	else if (link->remote.value == 0)
		snprintf(reason, REASON_SIZE, "it has no remote address");
	else if (offset > prefix_size(device->endpoint.block) || !kernel_holds(device, inner))
		snprintf(reason, REASON_SIZE, "its address is not one of a peer in %s",
			prefix_text(device->endpoint.block).s);
	else if (bsearch(&inner.value, evidence->taken, evidence->n_taken, sizeof inner.value,
			 compare_addresses))
		snprintf(reason, REASON_SIZE, "a WireGuard peer holds its address %s",
			ipv4_text(inner).s);
	else if (!routed && other)
		snprintf(reason, REASON_SIZE, "its route is to %s, not to %s",
			ipv4_text(other->destination.address).s, ipv4_text(inner).s);
	else if ((error = heal(device, link, inner, routed)) < 0)
		snprintf(reason, REASON_SIZE, "it cannot be mended: %s", strerror(-error));
	else if ((error = kernel_ipip_remember(device, link->ifindex, inner, link->remote)) < 0)
		return kernel_fail(kernel_plane_of(device), error, NULL, "adopt %s", link->name);
	else
		return 1;
	return 0;
}

int kernel_adopt_ipip(struct kernel_device *device, const struct link *links, size_t n)
{
	auto_free unsigned int *doomed = calloc(n + 1, sizeof *doomed);
	auto_free int *errors = calloc(n + 1, sizeof *errors);
	struct evidence evidence = {0};
	char reason[REASON_SIZE];
	size_t n_doomed = 0;
	int result = gather(device, &evidence);

	if (result == 0 && (!doomed || !errors))
		result = kernel_fail(kernel_plane_of(device), -ENOMEM, NULL, "adopt interfaces");
	for (size_t i = 0; i < n && result >= 0; i++) {
		const struct link *link = &links[i];
		unsigned int index;
		uint32_t offset;

		if (!plane_parse_ipip_name(link->name, &index, &offset) ||
			index != device->endpoint.index || client_link_has_alias(link))
			continue;
		if (strcmp(link->kind, "ipip") != 0) {
			log_warning("%s: left alone: it is not of kind ipip", link->name);
			continue;
		}
		result = adopt_link(device, &evidence, link, offset, reason);
		if (result != 0)
			continue;
		log_warning("removing %s to %s: %s", link->name, ipv4_text(link->remote).s, reason);
		doomed[n_doomed++] = link->ifindex;
	}
	free(evidence.routes);
	free(evidence.taken);
	if (result < 0)
		return result;
	return kernel_delete_links(kernel_plane_of(device), doomed, n_doomed, errors);
}
