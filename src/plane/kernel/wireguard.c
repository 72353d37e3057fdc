/*
 * The peers of the interface vprox<i>, and what the broker has written for each. Runs in the
 * server's broker.
 */
#include "plane/kernel/wireguard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "netlink/genetlink.h"
#include "netlink/link.h"
#include "netlink/socket.h"
#include "netlink/wireguard.h"
#include "plane/client_link.h"

int kernel_find_wireguard(struct kernel_plane *kernel)
{
	int error;

	if (kernel->wireguard != 0)
		return 0;
	error = genetlink_family(kernel->generic, "wireguard", &kernel->wireguard);
	if (error < 0)
		return kernel_fail(
			kernel, error, netlink_error(kernel->generic), "look for WireGuard");
	return 0;
}

int kernel_is_clients(struct kernel_plane *kernel, const struct link *link, bool *is_clients)
{
	struct wireguard_device device;
	struct key key;
	int error;

	*is_clients = client_link_has_alias(link);
	if (*is_clients || link->alias[0] != '\0' || strcmp(link->kind, "wireguard") != 0 ||
		!client_link_key(link->name, &key))
		return 0;
	error = kernel_find_wireguard(kernel);
	if (error == 0)
		error = wireguard_get(kernel->generic, kernel->wireguard, link->ifindex, &device);
	if (error == 0) {
		*is_clients = key_equal(&device.private_key, &key);
		wireguard_free(&device);
	}
	key_wipe(&key);
	if (error == 0 || error == -ENODEV)
		return 0;
	return kernel_fail(
		kernel, error, netlink_error(kernel->generic), "read the key of %s", link->name);
}

static bool has_key(const struct hash_node *node, const void *key)
{
	const struct kernel_wireguard *peer =
		hash_entry(node, const struct kernel_wireguard, by_key);

	return memcmp(&peer->key, key, sizeof peer->key) == 0;
}

static struct kernel_wireguard *find(const struct kernel_device *device, const struct key *key)
{
	struct hash_node *node = hash_find(&device->wireguard_by_key, key, sizeof *key, has_key);

	return node ? hash_entry(node, struct kernel_wireguard, by_key) : NULL;
}

struct ipv4 kernel_wireguard_inner(
	const struct wireguard_device *dump, const struct wireguard_peer *peer)
{
	const struct prefix *allowed;

	if (peer->n_allowed != 1 || peer->n_allowed_ipv6 != 0)
		return (struct ipv4){0};
	allowed = &dump->allowed[peer->first_allowed];
	return allowed->length == 32 ? allowed->address : (struct ipv4){0};
}

int kernel_wireguard_remember(
	struct kernel_device *device, const struct key *key, struct ipv4 inner)
{
	struct kernel_wireguard *peer = find(device, key);

	if (!peer) {
		peer = calloc(1, sizeof *peer);
		if (!peer)
			return -ENOMEM;
		peer->key = *key;
		hash_insert(&device->wireguard_by_key, &peer->by_key, key, sizeof *key);
	}
	peer->inner = inner;
	return 0;
}

static void forget(struct kernel_device *device, const struct key *key)
{
	struct kernel_wireguard *peer = find(device, key);

	if (!peer)
		return;
	hash_remove(&device->wireguard_by_key, &peer->by_key);
	free(peer);
}

int kernel_wireguard_add(struct kernel_device *device, const struct key *key, struct ipv4 inner)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	const struct kernel_wireguard *known = find(device, key);
	struct prefix allowed = {inner, 32};
	/* Replacing takes the address away for a moment: not from a peer that has no other. */
	bool replace = !known || !ipv4_equal(known->inner, inner);
	int error = wireguard_set_peer(
		kernel->generic, kernel->wireguard, device->ifindex, key, allowed, replace);

	if (error == 0)
		error = kernel_wireguard_remember(device, key, inner);
	if (error == 0)
		return 0;
	kernel_fail(kernel, error, netlink_error(kernel->generic), "set a peer of %s",
		plane_device_name(device->endpoint.index).s);
	if (!known)
		wireguard_remove_peers(kernel->generic, kernel->wireguard, device->ifindex, key, 1);
	return error;
}

_Static_assert((int)PLANE_ADD_BATCH <= (int)WIREGUARD_PLACES_MAX, "one request takes a batch");

/* One request for all: the kernel takes its locks once. */
int kernel_restore_endpoints(struct plane_device *plane_device, const struct plane_peer *peers,
	const struct plane_usage *lasts, size_t n)
{
	struct kernel_device *device = kernel_of_device(plane_device);
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct wireguard_place places[PLANE_ADD_BATCH];
	size_t n_places = 0;
	int error = n > PLANE_ADD_BATCH ? -EINVAL : 0;

	for (size_t i = 0; i < n && error == 0; i++)
		if (peers[i].kind == PEER_WIREGUARD && lasts[i].outer_port != 0)
			places[n_places++] = (struct wireguard_place){
				peers[i].key, lasts[i].outer, lasts[i].outer_port};
	if (error == 0 && n_places > 0)
		error = wireguard_restore_places(
			kernel->generic, kernel->wireguard, device->ifindex, places, n_places);
	return error == 0 ? 0
			  : kernel_fail(kernel, error, netlink_error(kernel->generic),
				    "restore the endpoints of %zu peers of %s", n_places,
				    plane_device_name(device->endpoint.index).s);
}

int kernel_wireguard_check(struct kernel_device *device, const struct key *key)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct wireguard_device dump;
	int error = wireguard_get(kernel->generic, kernel->wireguard, device->ifindex, &dump);
	bool there = false;

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->generic), "read %s",
			plane_device_name(device->endpoint.index).s);
	for (size_t i = 0; i < dump.n_peers && !there; i++)
		there = memcmp(&dump.peers[i].key, key, sizeof *key) == 0;
	wireguard_free(&dump);
	return there ? 0
		     : kernel_fail(kernel, -ENODEV, NULL, "find the peer in %s",
			       plane_device_name(device->endpoint.index).s);
}

void kernel_wireguard_remove(
	struct kernel_device *device, const struct plane_peer *peers, size_t n, int *errors)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct key keys[PLANE_REMOVAL_BATCH];
	size_t n_keys = 0;
	int error = 0;

	for (size_t i = 0; i < n; i++)
		if (peers[i].kind == PEER_WIREGUARD)
			keys[n_keys++] = peers[i].key;
	if (n_keys > 0)
		error = wireguard_remove_peers(
			kernel->generic, kernel->wireguard, device->ifindex, keys, n_keys);
	/* Without the interface there are no peers. */
	if (error == -ENODEV)
		error = 0;
	if (error < 0)
		kernel_fail(kernel, error, netlink_error(kernel->generic), "remove %zu peers of %s",
			n_keys, plane_device_name(device->endpoint.index).s);
	for (size_t i = 0; i < n; i++)
		if (peers[i].kind == PEER_WIREGUARD)
			errors[i] = error;
	for (size_t i = 0; i < n_keys && error == 0; i++)
		forget(device, &keys[i]);
}

void kernel_wireguard_empty(struct kernel_plane *kernel, unsigned int ifindex)
{
	int error = kernel_find_wireguard(kernel);

	if (error == 0)
		error = wireguard_remove_all_peers(kernel->generic, kernel->wireguard, ifindex);
	if (error < 0 && error != -ENODEV)
		log_warning("cannot remove the peers of interface number %u before it, which takes "
			    "longer: %s",
			ifindex, strerror(-error));
}
