/* Puts the assigned address onto the interface, once nothing of the host's own is in its way. Runs
 * in the client. */
#include "client/addressing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "client/mark.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "plane/client_link.h"

enum { ADDRESS_LENGTH = 32 };

/* What the check goes by. */
struct host_networks {
	struct link *links;
	struct address *addresses;
	struct route *routes;
	size_t n_links, n_addresses, n_routes;
};

static void host_networks_free(struct host_networks *networks)
{
	free(networks->links);
	free(networks->addresses);
	free(networks->routes);
}

static int read_networks(struct netlink *netlink, struct host_networks *networks)
{
	const struct route_filter connected = {
		.table = RT_TABLE_MAIN, .type = RTN_UNICAST, .scope_at_least = RT_SCOPE_LINK};
	int error = link_dump(netlink, NULL, &networks->links, &networks->n_links);

	if (error == 0)
		error = address_dump(netlink, 0, &networks->addresses, &networks->n_addresses);
	if (error == 0)
		error = route_dump(netlink, &connected, &networks->routes, &networks->n_routes);
	return error;
}

/* The interface, unless it is a client's. */
static const struct link *link_of(const struct host_networks *networks, unsigned int ifindex)
{
	for (size_t i = 0; i < networks->n_links; i++)
		if (networks->links[i].ifindex == ifindex)
			return client_link_has_alias(&networks->links[i]) ? NULL
									  : &networks->links[i];
	return NULL;
}

static bool has_address(
	const struct host_networks *networks, struct ipv4 address, char *why, size_t size)
{
	for (size_t i = 0; i < networks->n_addresses; i++) {
		const struct link *link = link_of(networks, networks->addresses[i].ifindex);

		if (!link || !ipv4_equal(networks->addresses[i].local, address))
			continue;
		snprintf(why, size, "%s is this host's own address, of %s", ipv4_text(address).s,
			link->name);
		return true;
	}
	return false;
}

static bool has_network(
	const struct host_networks *networks, struct ipv4 address, char *why, size_t size)
{
	for (size_t i = 0; i < networks->n_routes; i++) {
		const struct route *route = &networks->routes[i];
		const struct link *link = link_of(networks, route->oif);

		/* some links have a default route without a gateway */
		if (!link || route->destination.length == 0 ||
			!prefix_contains(route->destination, address))
			continue;
		snprintf(why, size, "%s lies in %s, which this host is connected to by %s",
			ipv4_text(address).s, prefix_text(route->destination).s, link->name);
		return true;
	}
	return false;
}

int addressing_check(struct netlink *netlink, const struct tunnel *tunnel, char *why, size_t size)
{
	const struct ipv4 wanted[] = {tunnel->inner, tunnel_gateway(tunnel)};
	struct host_networks networks = {0};
	int error = read_networks(netlink, &networks);

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted && error == 0; i++)
		if (has_address(&networks, wanted[i], why, size) ||
			has_network(&networks, wanted[i], why, size))
			error = -EADDRINUSE;
	host_networks_free(&networks);
	return error;
}

int addressing_set_address(
	struct netlink *netlink, unsigned int ifindex, const struct tunnel *tunnel)
{
	const struct address wanted = {.ifindex = ifindex,
		.local = tunnel->inner,
		.prefix_length = ADDRESS_LENGTH,
		.valid_s = ADDRESS_FOREVER,
		.preferred_s = ADDRESS_FOREVER};
	auto_free struct address *addresses = NULL;
	size_t n = 0;
	int error = address_dump(netlink, ifindex, &addresses, &n);

	for (size_t i = 0; i < n && error == 0; i++)
		if (!ipv4_equal(addresses[i].local, wanted.local) ||
			addresses[i].prefix_length != wanted.prefix_length)
			error = address_delete(netlink, &addresses[i]);
	if (error == 0 || error == -EADDRNOTAVAIL)
		error = address_add(netlink, &wanted);
	return error == -EEXIST ? 0 : error;
}

/* Two clients of servers with the same block do not take each other's: the metric differs. */
static struct route route_to_gateway(unsigned int ifindex, const struct tunnel *tunnel)
{
	struct route route =
		route_of_link((struct prefix){tunnel_gateway(tunnel), ADDRESS_LENGTH}, ifindex);

	route.protocol = CLIENT_PROTOCOL;
	route.metric = ifindex;
	return route;
}

/* A former tunnel's, of the same interface. */
static int remove_others(struct netlink *netlink, const struct route *wanted)
{
	const struct route_filter filter = {
		.table = RT_TABLE_MAIN, .protocol = CLIENT_PROTOCOL, .oif = wanted->oif};
	auto_free struct route *found = NULL;
	size_t n = 0;
	int error = route_dump(netlink, &filter, &found, &n);

	for (size_t i = 0; i < n && error == 0; i++) {
		if (ipv4_equal(found[i].destination.address, wanted->destination.address))
			continue;
		error = route_delete(netlink, &found[i]);
		if (error == -ESRCH)
			error = 0;
	}
	return error;
}

int addressing_set_route(struct netlink *netlink, unsigned int ifindex, const struct tunnel *tunnel)
{
	const struct route route = route_to_gateway(ifindex, tunnel);
	int error = remove_others(netlink, &route);

	if (error == 0 && prefix_is_private(route.destination))
		error = route_set(netlink, &route);
	return error;
}

int addressing_set_default_route(struct netlink *netlink, unsigned int ifindex)
{
	const struct route route = route_of_link((struct prefix){{0}, 0}, ifindex);

	return route_set(netlink, &route);
}
