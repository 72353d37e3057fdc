/*
 * Opening the device of an endpoint: the process that is there is taken over, or a new one started.
 * Runs in the server's broker.
 */
#include "plane/embedded/open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/sysctl.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "plane/embedded/device.h"
#include "plane/embedded/dump.h"
#include "plane/embedded/owner.h"
#include "plane/embedded/text.h"
#include "plane/interface.h"
#include "uapi_client/device_process.h"

static int start_device(struct embedded_device *device)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	int error = device_process_start(device->name.s, embedded->unit);

	if (error == -EIO)
		return embedded_fail(
			embedded, error, "make %s (its own log says why)", device->name.s);
	return error < 0 ? embedded_fail(embedded, error, "start a device process") : 0;
}

/* Whether the interface has the gateway's address and no other. wrong: for the log, what it has. */
static int matches(
	struct embedded_device *device, const struct link *link, bool *match, struct prefix *wrong)
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
			addresses[i].prefix_length != device->endpoint.block.length) {
			*match = false;
			*wrong = (struct prefix){addresses[i].local, addresses[i].prefix_length};
		}
	return 0;
}

/* Finds the interface, or makes it if there is none, or none that matches. */
static int find_or_make(struct embedded_device *device, struct link *link, bool *made)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	int error = link_get(embedded->route, device->name.s, link);
	struct prefix wrong = {0};
	bool match = false;

	*made = false;
	if (error == 0 && embedded_is_clients(link))
		return embedded_fail(embedded, -EEXIST,
			"make %s: a vprox client on this host has that name, give it another one "
			"with `vprox connect --interface`",
			device->name.s);
	if (error == 0 && strcmp(link->kind, "tun") != 0)
		return embedded_fail(embedded, -EEXIST, "make %s: there is another interface (%s)",
			device->name.s, link->kind);
	if (error == 0)
		error = matches(device, link, &match, &wrong);
	if (error == 0 && match && uapi_client_ask(device->name.s, "get_ipip=1\n\n", NULL) == 0)
		return 0;
	if (error == 0) {
		if (match)
			log_warning("removing %s and all of its peers: its device does not answer",
				device->name.s);
		else
			log_warning("removing %s and all of its peers: it has the address %s",
				device->name.s, prefix_text(wrong).s);
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

static int complete(struct embedded_device *device, const struct link *link, bool made)
{
	struct embedded_plane *embedded = embedded_plane_of(device);
	unsigned int given;
	const char *step;
	int error = interface_complete(embedded->route, &device->endpoint, link, &given, &step);

	if (!made)
		interface_report(link->name, given);
	return error < 0 ? embedded_fail(embedded, error, "set up %s: %s", link->name, step) : 0;
}

static void switch_off_ipv6(const struct link *link)
{
	int error = sysctl_disable_ipv6(link->name);

	if (error < 0)
		log_warning("%s: cannot switch off IPv6: %s", link->name, strerror(-error));
}

int embedded_reconcile(struct plane_device *plane_device)
{
	struct embedded_device *device = embedded_of_device(plane_device);
	struct embedded_plane *embedded = embedded_plane_of(device);
	struct link link;
	int error = link_get(embedded->route, device->name.s, &link);

	if (error == 0 && !embedded_is_ours(&link))
		error = -ENODEV;
	if (error < 0)
		return embedded_fail(embedded, error, "look up %s", device->name.s);
	return complete(device, &link, false);
}

/* An address that a peer has. */
struct taken {
	struct hash_node node;
	struct ipv4 address;
};

/* What adoption has seen, and what it takes away. */
struct adoption {
	struct embedded_device *device;
	struct hash_table taken;
	struct plane_peer *unsound;
	size_t n_unsound;
};

static bool is_address(const struct hash_node *node, const void *key)
{
	return ipv4_equal(hash_entry(node, struct taken, node)->address, *(const struct ipv4 *)key);
}

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
	if (hash_find(&adoption->taken, &peer->inner, sizeof peer->inner, is_address))
		return "another peer has its address";
	return NULL;
}

static int take_address(struct adoption *adoption, struct ipv4 address)
{
	struct taken *taken = malloc(sizeof *taken);

	if (!taken)
		return -ENOMEM;
	taken->address = address;
	hash_insert(&adoption->taken, &taken->node, &taken->address, sizeof taken->address);
	return 0;
}

static int look_at_peer(
	void *context, const struct plane_peer *peer, const struct plane_usage *usage)
{
	struct adoption *adoption = context;
	const char *fault = fault_of(adoption, peer);
	void *grown;

	(void)usage;
	if (!fault)
		return take_address(adoption, peer->inner);
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
	int error = hash_init(&adoption.taken);

	if (error < 0)
		return error;
	error = embedded_dump(&device->device, look_at_peer, &adoption);
	for (size_t i = 0; i < adoption.n_unsound && error == 0; i += PLANE_REMOVAL_BATCH) {
		size_t n = adoption.n_unsound - i;

		error = device->device.plane->ops->remove(&device->device, adoption.unsound + i,
			n < PLANE_REMOVAL_BATCH ? n : PLANE_REMOVAL_BATCH, errors);
	}
	hash_for_each (&adoption.taken, node)
		free(hash_entry(node, struct taken, node));
	hash_free(&adoption.taken);
	free(adoption.unsound);
	return error;
}

static int set_up(struct embedded_device *device, const struct key *private_key,
	const struct link *link, bool made)
{
	struct plane_endpoint endpoint = device->endpoint;
	char request[UAPI_CLIENT_REQUEST_SIZE];
	int error;

	endpoint.private_key = *private_key;
	embedded_configure_text(&endpoint, request);
	key_wipe(&endpoint.private_key);
	error = uapi_client_ask(device->name.s, request, NULL);
	explicit_bzero(request, sizeof request);
	if (error < 0)
		return embedded_fail(
			embedded_plane_of(device), error, "configure %s", device->name.s);
	if (!made)
		error = adopt(device);
	if (error < 0)
		return error;
	switch_off_ipv6(link);
	return complete(device, link, made);
}

int embedded_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **opened)
{
	struct embedded_plane *embedded = embedded_of_plane(plane);
	struct embedded_device *device = embedded_device_new(embedded, endpoint);
	struct link link;
	bool made = false;
	int error;

	if (!device)
		return embedded_fail(
			embedded, -ENOMEM, "open %s", plane_device_name(endpoint->index).s);
	error = find_or_make(device, &link, &made);
	if (error == 0)
		error = set_up(device, &endpoint->private_key, &link, made);
	if (error < 0) {
		if (made)
			link_delete(embedded->route, link.ifindex);
		embedded_device_free(device);
		return error;
	}
	*opened = &device->device;
	return 0;
}
