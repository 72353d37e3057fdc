/* Chooses the interface that the internal network is behind. Runs in the broker, at its start. */
#include "host/internal_network.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/address.h"
#include "netlink/link.h"

static bool begins_with_one_of(const char *name, const char *const *beginnings)
{
	for (; *beginnings; beginnings++)
		if (strncmp(name, *beginnings, strlen(*beginnings)) == 0)
			return true;
	return false;
}

static bool is_of_kind(const struct link *link)
{
	static const char *const kinds[] = {"veth", "bridge", "dummy", "wireguard", "ipip", NULL};

	return begins_with_one_of(link->kind, kinds);
}

/* As the older programs do, which know the kinds by names alone; and ours. */
static bool is_named(const struct link *link)
{
	static const char *const names[] = {"veth", "br", "docker", "dummy", "wg", "vprox", NULL};

	return begins_with_one_of(link->name, names);
}

static bool is_private(struct ipv4 address)
{
	static const struct prefix networks[] = {
		{{0x0a000000}, 8}, {{0xac100000}, 12}, {{0xc0a80000}, 16}};

	for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
		if (prefix_contains(networks[i], address))
			return true;
	return false;
}

static bool has_private_address(
	const struct link *link, const struct address *addresses, size_t n_addresses)
{
	for (size_t i = 0; i < n_addresses; i++)
		if (addresses[i].ifindex == link->ifindex && is_private(addresses[i].local))
			return true;
	return false;
}

static bool is_candidate(
	const struct link *link, const struct address *addresses, size_t n_addresses)
{
	return link->flags & IFF_UP && !(link->flags & IFF_LOOPBACK) && !is_of_kind(link) &&
	       !is_named(link) && has_private_address(link, addresses, n_addresses);
}

static bool is_preferred(const struct link *link)
{
	static const char *const names[] = {"en", "eth", NULL};

	return begins_with_one_of(link->name, names);
}

static const struct link *choose(const struct link *links, size_t n_links,
	const struct address *addresses, size_t n_addresses)
{
	const struct link *chosen = NULL;

	for (size_t i = 0; i < n_links; i++) {
		if (!is_candidate(&links[i], addresses, n_addresses))
			continue;
		if (!chosen || (is_preferred(&links[i]) && !is_preferred(chosen)))
			chosen = &links[i];
	}
	return chosen;
}

static int use(const struct link *link, struct internal_network *internal)
{
	if (!link) {
		log_error("--region us-west: no interface that is up has a private address, and "
			  "could lead to the internal network");
		return -ENODEV;
	}
	snprintf(internal->interface, sizeof internal->interface, "%s", link->name);
	log_info("tunnels reach the internal network %s by %s", prefix_text(internal->network).s,
		link->name);
	return 0;
}

int internal_network_find(struct netlink *netlink, struct internal_network *internal)
{
	auto_free struct link *links = NULL;
	auto_free struct address *addresses = NULL;
	size_t n_links = 0, n_addresses = 0;
	int error = link_dump(netlink, NULL, &links, &n_links);

	if (error == 0)
		error = address_dump(netlink, 0, &addresses, &n_addresses);
	if (error == 0)
		return use(choose(links, n_links, addresses, n_addresses), internal);
	log_error("cannot see which interfaces this host has: %s", strerror(-error));
	return error;
}
