/*
 * Opening the device of an endpoint: the interface that is there is adopted, or a new one made.
 * Runs in the server's broker.
 */
#include "plane/kernel/open.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/socket.h"
#include "netlink/wireguard.h"
#include "plane/interface.h"
#include "plane/kernel/ipip.h"
#include "plane/kernel/ipip_table.h"
#include "plane/kernel/reconcile.h"
#include "plane/kernel/removal.h"
#include "plane/kernel/shared.h"
#include "plane/kernel/shared_found.h"
#include "plane/kernel/wireguard.h"

static int make_interface(struct kernel_device *device, struct link *link, bool *made)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct plane_name name = plane_device_name(device->endpoint.index);
	struct netlink_request request;
	enum {
		NEW,
		GET,
		N_MESSAGES,
	};
	int errors[N_MESSAGES], error;

	*link = (struct link){0};
	netlink_request_init(&request);
	link_put_new(&request, name.s, "wireguard");
	link_put_get(&request, name.s);
	error = netlink_transact(kernel->route, &request, errors, link_read_reply, link);
	*made = errors[NEW] == 0;
	if (*made && link->ifindex == 0)
		link->ifindex = if_nametoindex(name.s);
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "make %s", name.s);
	return 0;
}

/* Key and port. Setting them is a new beginning for every peer: only if they differ. */
static int configure_wireguard(struct kernel_device *device, const struct key *private_key,
	const struct wireguard_device *dump, bool made)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct plane_name name = plane_device_name(device->endpoint.index);
	bool same_key = key_equal(&dump->private_key, private_key);
	uint16_t port = device->endpoint.port;
	int error;

	if (same_key && dump->port == port)
		return 0;
	if (!made && !same_key)
		log_warning("%s: its private key is another one, and is replaced", name.s);
	if (!made && dump->port != port)
		log_warning("%s: its port is %u, and becomes %u", name.s, dump->port, port);
	error = wireguard_configure(
		kernel->generic, kernel->wireguard, device->ifindex, private_key, port);
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->generic),
			"give %s its key and UDP port %u", name.s, port);
	return 0;
}

/* What open() works on. */
struct opening {
	struct link *links; /* all that are there */
	size_t n_links;
	struct link link; /* vprox<i> */
	bool made; /* by this call */
};

static int refuse_clients(struct kernel_plane *kernel, const struct link *link)
{
	bool is_clients;
	int error = kernel_is_clients(kernel, link, &is_clients);

	if (error < 0 || !is_clients)
		return error;
	return kernel_fail(kernel, -EEXIST, NULL,
		"make %s: a vprox client on this host has that name, give it another one with "
		"`vprox connect --interface`",
		link->name);
}

/* Finds vprox<i>, or makes it if there is none, or none that matches. */
static int find_or_make(struct kernel_device *device, struct opening *opening)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct plane_name name = plane_device_name(device->endpoint.index);
	char reason[INTERFACE_REASON_SIZE];
	bool match = true;
	int error = 0;

	for (size_t i = 0; i < opening->n_links; i++)
		if (strcmp(opening->links[i].name, name.s) == 0)
			opening->link = opening->links[i];
	if (opening->link.ifindex == 0)
		return make_interface(device, &opening->link, &opening->made);
	error = refuse_clients(kernel, &opening->link);
	if (error < 0)
		return error;
	if (strcmp(opening->link.kind, "wireguard") != 0)
		return kernel_fail(kernel, -EEXIST, NULL,
			"make %s: there is another interface of that name (kind %s)", name.s,
			opening->link.kind[0] != '\0' ? opening->link.kind : "unknown");
	error = interface_matches(kernel->route, &device->endpoint, &opening->link, &match, reason);
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route),
			"list addresses of %s", name.s);
	if (match)
		return 0;
	log_warning("removing %s and all of its peers: %s", name.s, reason);
	error = kernel_delete_index(
		kernel, device->endpoint.index, opening->links, opening->n_links);
	opening->n_links = 0;
	if (error == 0)
		error = kernel_shared_clear(kernel, device->endpoint.index);
	if (error == 0)
		error = make_interface(device, &opening->link, &opening->made);
	return error;
}

/* Whether a link is an IPIP peer's of the device. One that only has such a name is logged. */
static bool is_ipip_peer(
	const struct kernel_device *device, const struct link *link, struct ipv4 *inner)
{
	if (!kernel_ipip_parse_name(device, link, inner))
		return false;
	if (strcmp(link->kind, "ipip") != 0) {
		log_warning("%s: left alone: it is not of kind ipip", link->name);
		return false;
	}
	return true;
}

/* Out of the group that a server which crashed was about to delete. */
static int unmark(struct kernel_plane *kernel, const struct link *link)
{
	const struct link_change unmarked = {.set_group = true};

	log_info("%s: mending it: it was about to be removed", link->name);
	return link_set(kernel->route, link->ifindex, &unmarked);
}

/* Takes over the link of an IPIP peer. One that has gone meanwhile is none. */
static int take_over(struct kernel_device *device, const struct link *link, struct ipv4 inner)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	int error = 0;

	kernel_switch_off_ipv6(kernel, link->name);
	if (link->group == KERNEL_REMOVAL_GROUP)
		error = unmark(kernel, link);
	if (error == -ENODEV)
		return 0;
	if (error < 0)
		return kernel_fail(
			kernel, error, netlink_error(kernel->route), "adopt %s", link->name);
	error = kernel_ipip_remember(device, link->ifindex, inner, link->remote);
	return error < 0 ? kernel_fail(kernel, error, NULL, "adopt %s", link->name) : 0;
}

static int take_over_all(struct kernel_device *device, const struct link *links, size_t n)
{
	struct ipv4 inner;
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++)
		if (is_ipip_peer(device, &links[i], &inner))
			error = take_over(device, &links[i], inner);
	return error;
}

/* A Go server gives its interface no alias: what else it does not have, nobody has taken away. */
static bool is_new(const struct opening *opening)
{
	return opening->made || opening->link.alias[0] == '\0';
}

static int open_shared(struct kernel_device *device, const struct opening *opening)
{
	int error = kernel_shared_ensure(device, true);

	if (error < 0)
		return error;
	kernel_shared_begin_count(device);
	error = kernel_shared_adopt(device);
	return error == 0 ? kernel_shared_move_in(device, opening->links, opening->n_links) : error;
}

/* In whichever mode the last server made them. */
static int take_over_ipip(struct kernel_device *device, const struct opening *opening)
{
	int error;

	if (kernel_plane_of(device)->shares_ipip)
		return open_shared(device, opening);
	error = take_over_all(device, opening->links, opening->n_links);
	return error == 0 ? kernel_shared_move_out(device) : error;
}

static int set_up(
	struct kernel_device *device, const struct key *private_key, const struct opening *opening)
{
	struct kernel_plane *kernel = kernel_plane_of(device);
	struct wireguard_device dump;
	int error = wireguard_get(kernel->generic, kernel->wireguard, device->ifindex, &dump);

	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->generic), "read %s",
			plane_device_name(device->endpoint.index).s);
	error = configure_wireguard(device, private_key, &dump, opening->made);
	wireguard_free(&dump);
	if (error == 0)
		error = kernel_configure_link(device, &opening->link, is_new(opening));
	if (error == 0)
		error = take_over_ipip(device, opening);
	return error;
}

int kernel_open(
	struct plane *plane, const struct plane_endpoint *endpoint, struct plane_device **opened)
{
	struct kernel_plane *kernel = kernel_of_plane(plane);
	struct opening opening = {0};
	struct kernel_device *device = NULL;
	int error = kernel_find_wireguard(kernel);

	if (error == 0)
		error = kernel_forget_gone_links(kernel);
	if (error < 0)
		goto out;
	error = link_dump(kernel->route, NULL, &opening.links, &opening.n_links);
	if (error < 0) {
		kernel_fail(kernel, error, netlink_error(kernel->route), "list interfaces");
		goto out;
	}
	device = kernel_device_new(kernel, endpoint);
	if (!device) {
		error = kernel_fail(
			kernel, -ENOMEM, NULL, "open %s", plane_device_name(endpoint->index).s);
		goto out;
	}
	error = find_or_make(device, &opening);
	device->ifindex = opening.link.ifindex;
	if (error == 0)
		error = set_up(device, &endpoint->private_key, &opening);
	if (error < 0 && opening.made)
		link_delete(kernel->route, opening.link.ifindex);
out:
	free(opening.links);
	if (error < 0) {
		kernel_device_free(device);
		return error;
	}
	device->next = kernel->devices;
	kernel->devices = device;
	*opened = &device->device;
	return 0;
}
