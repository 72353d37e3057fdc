/* Compares an address that a cloud has told with the host's interfaces and routes. Runs in the
 * broker. */
#include "host/instance_address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"

_Static_assert((int)INSTANCE_MAC_SIZE == (int)LINK_MAC_SIZE, "an Ethernet address");

int instance_look(struct netlink *netlink, struct instance *instance)
{
	static const struct route_filter all = {0};
	int error;

	*instance = (struct instance){0};
	error = link_dump(netlink, NULL, &instance->links, &instance->n_links);
	if (error == 0)
		error = address_dump(netlink, 0, &instance->addresses, &instance->n_addresses);
	return error < 0 ? error
			 : route_dump(netlink, &all, &instance->routes, &instance->n_routes);
}

void instance_free(struct instance *instance)
{
	free(instance->links);
	free(instance->addresses);
	free(instance->routes);
}

static bool has_mac(const struct link *link, const unsigned char *mac)
{
	return link->has_mac && memcmp(link->mac, mac, LINK_MAC_SIZE) == 0;
}

static bool has_address(const struct instance *instance, struct ipv4 address)
{
	for (size_t i = 0; i < instance->n_addresses; i++)
		if (ipv4_equal(instance->addresses[i].local, address))
			return true;
	return false;
}

static bool is_router(const struct instance *instance, struct ipv4 address)
{
	for (size_t i = 0; i < instance->n_routes; i++)
		if (ipv4_equal(instance->routes[i].gateway, address))
			return true;
	return false;
}

/* One of its hosts' addresses. */
static bool is_in_network(const struct address *own, struct ipv4 address)
{
	const uint32_t mask = prefix_mask(own->prefix_length);
	const uint32_t host = address.value & ~mask;

	return own->prefix_length < 31 && (own->local.value & mask) == (address.value & mask) &&
	       host != 0 && host != ~mask;
}

static bool has_network(
	const struct instance *instance, const struct link *link, struct ipv4 address)
{
	for (size_t i = 0; i < instance->n_addresses; i++)
		if (instance->addresses[i].ifindex == link->ifindex &&
			is_in_network(&instance->addresses[i], address))
			return true;
	return false;
}

const char *instance_address_fault(const struct instance *instance, struct ipv4 address,
	const unsigned char mac[INSTANCE_MAC_SIZE], const char *interface)
{
	for (size_t i = 0; i < instance->n_links; i++) {
		const struct link *link = &instance->links[i];

		if (!has_mac(link, mac) || (interface && strcmp(link->name, interface) != 0))
			continue;
		if (has_address(instance, address))
			return NULL;
		if (is_router(instance, address))
			return "a route of this host leads there";
		if (has_network(instance, link, address))
			return NULL;
	}
	return interface ? "it is not in a network of that interface"
			 : "it is in no network of the interface that should have it";
}
