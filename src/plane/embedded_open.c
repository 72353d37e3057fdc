#include "plane/embedded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "netlink/address.h"
#include "plane/embedded_text.h"

enum { PATH_SIZE = 128 };

static int start_device(struct embedded_device *device)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	int error = device_process_start(device->name.s);

	if (error == -EIO)
		return embedded_fail(
			embedded, error, "make %s (its own log says why)", device->name.s);
	return error < 0 ? embedded_fail(embedded, error, "start a device process") : 0;
}

/* Whether the interface has the gateway's address and no other. */
static int matches(struct embedded_device *device, const struct link *link, bool *match)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	auto_free struct address *addresses = NULL;
	size_t n;
	int error = address_dump(embedded->route, link->ifindex, &addresses, &n);

	if (error < 0)
		return embedded_fail(embedded, error, "read the addresses of %s", link->name);
	*match = true;
	for (size_t i = 0; i < n; i++)
		if (!ipv4_equal(addresses[i].local, device->endpoint.gateway) ||
			addresses[i].prefix_length != device->endpoint.block.length)
			*match = false;
	return 0;
}

/* Finds the interface, or makes it if there is none, or none that matches. */
static int find_or_make(struct embedded_device *device, struct link *link, bool *made)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	int error = link_get(embedded->route, device->name.s, link);
	bool match = false;

	*made = false;
	if (error == 0 && strcmp(link->kind, "tun") != 0)
		return embedded_fail(embedded, -EEXIST, "make %s: there is another interface (%s)",
			device->name.s, link->kind);
	if (error == 0)
		error = matches(device, link, &match);
	if (error == 0 && match && embedded_ask(device->name.s, "get_ipip=1\n\n", NULL) == 0)
		return 0;
	if (error == 0) {
		log_warning("removing %s and all of its peers: %s", device->name.s,
			match ? "its device does not answer" : "it has another block");
		error = embedded_delete(embedded, device->name.s);
	}
	if (error < 0 && error != -ENODEV)
		return error;
	error = start_device(device);
	if (error < 0)
		return error;
	*made = true;
	error = link_get(embedded->route, device->name.s, link);
	return error < 0 ? embedded_fail(embedded, error, "find %s", device->name.s) : 0;
}

static int configure_link(struct embedded_device *device, const struct link *link)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	struct ipv4_text alias = ipv4_text(device->endpoint.bind);
	const struct link_change change = {.up = true, .alias = alias.s};
	const struct address address = {.ifindex = link->ifindex,
		.local = device->endpoint.gateway,
		.prefix_length = device->endpoint.block.length,
		.valid_s = ADDRESS_FOREVER,
		.preferred_s = ADDRESS_FOREVER};
	char path[PATH_SIZE];
	int error;

	snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", link->name);
	error = file_write_setting(path, "1");
	if (error < 0 && error != -ENOENT)
		log_warning("%s: cannot switch off IPv6: %s", link->name, strerror(-error));
	error = address_add(embedded->route, &address);
	if (error == 0 || error == -EEXIST)
		error = link_set(embedded->route, link->ifindex, &change);
	return error < 0 ? embedded_fail(embedded, error, "set up %s", link->name) : 0;
}

/* What adoption has seen, and what it takes away. */
struct adoption {
	struct embedded_device *device;
	uint32_t *taken; /* addresses, host byte order */
	size_t n_taken;
	struct plane_peer *unsound;
	size_t n_unsound;
};

static const char *fault_of(const struct adoption *adoption, const struct plane_peer *peer)
{
	const struct plane_endpoint *endpoint = &adoption->device->endpoint;

	if (peer->inner.value == 0)
		return "it has not exactly one address";
	if (!prefix_contains(endpoint->block, peer->inner) ||
		ipv4_equal(peer->inner, endpoint->gateway) ||
		ipv4_equal(peer->inner, endpoint->block.address) ||
		ipv4_equal(peer->inner, prefix_last(endpoint->block)))
		return "its address is no peer's in this block";
	for (size_t i = 0; i < adoption->n_taken; i++)
		if (adoption->taken[i] == peer->inner.value)
			return "another peer has its address";
	return NULL;
}

static int look_at_peer(
	void *context, const struct plane_peer *peer, const struct plane_usage *usage)
{
	struct adoption *adoption = context;
	const char *fault = fault_of(adoption, peer);
	void *grown;

	(void)usage;
	if (!fault) {
		grown = reallocarray(adoption->taken, adoption->n_taken + 1, sizeof(uint32_t));
		if (!grown)
			return -ENOMEM;
		adoption->taken = grown;
		adoption->taken[adoption->n_taken++] = peer->inner.value;
		return 0;
	}
	log_warning("%s: removing %s peer %s: %s", adoption->device->name.s,
		peer->kind == PEER_WIREGUARD ? "WireGuard" : "IPIP",
		peer->kind == PEER_WIREGUARD ? key_text(&peer->key).s : ipv4_text(peer->remote).s,
		fault);
	grown = reallocarray(adoption->unsound, adoption->n_unsound + 1, sizeof *peer);
	if (!grown)
		return -ENOMEM;
	adoption->unsound = grown;
	adoption->unsound[adoption->n_unsound++] = *peer;
	return 0;
}

static int adopt(struct embedded_device *device)
{
	struct adoption adoption = {.device = device};
	int errors[PLANE_REMOVAL_BATCH];
	int error = embedded_dump(&device->device, look_at_peer, &adoption);

	for (size_t i = 0; i < adoption.n_unsound && error == 0; i += PLANE_REMOVAL_BATCH) {
		size_t n = adoption.n_unsound - i;

		error = device->device.plane->ops->remove(&device->device, adoption.unsound + i,
			n < PLANE_REMOVAL_BATCH ? n : PLANE_REMOVAL_BATCH, errors);
	}
	free(adoption.taken);
	free(adoption.unsound);
	return error;
}

static int set_up(struct embedded_device *device, const struct key *private_key,
	const struct link *link, bool made)
{
	struct plane_endpoint endpoint = device->endpoint;
	char request[EMBEDDED_REQUEST_SIZE];
	int error;

	endpoint.private_key = *private_key;
	embedded_configure_text(&endpoint, request);
	key_wipe(&endpoint.private_key);
	error = embedded_ask(device->name.s, request, NULL);
	explicit_bzero(request, sizeof request);
	if (error < 0)
		return embedded_fail(
			embedded_plane_of(device), error, "configure %s", device->name.s);
	if (!made)
		error = adopt(device);
	return error < 0 ? error : configure_link(device, link);
}

int embedded_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **opened)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);
	struct embedded_device *device = calloc(1, sizeof *device);
	struct link link;
	bool made = false;
	int error;

	if (!device)
		return embedded_fail(
			embedded, -ENOMEM, "open %s", plane_device_name(endpoint->index).s);
	device->device.plane = plane;
	device->endpoint = *endpoint;
	key_wipe(&device->endpoint.private_key);
	device->name = plane_device_name(endpoint->index);
	error = find_or_make(device, &link, &made);
	if (error == 0)
		error = set_up(device, &endpoint->private_key, &link, made);
	if (error < 0) {
		if (made)
			link_delete(embedded->route, link.ifindex);
		free(device);
		return error;
	}
	*opened = &device->device;
	return 0;
}
