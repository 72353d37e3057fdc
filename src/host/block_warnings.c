/* Looks for what the block of inner addresses is in the way of. Runs in the broker, at its start.
 */
#include "host/block_warnings.h"

#include <stdlib.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "plane/names.h"

/* 240.0.0.0/4, which nobody has: RFC 1112, 4. */
static const struct prefix reserved = {{0xf0000000}, 4};

static bool is_public(struct prefix block)
{
	return !prefix_is_private(block) &&
	       !(block.length >= reserved.length && prefix_contains(reserved, block.address));
}

/* The name of somebody else's interface, or NULL. */
static const char *foreign(struct netlink *netlink, unsigned int ifindex, struct link *link)
{
	unsigned int index;

	if (link_get_index(netlink, ifindex, link) < 0 ||
		plane_parse_device_name(link->name, &index) || plane_is_ipip_name(link->name))
		return NULL;
	return link->name;
}

static bool warn_of_address(struct netlink *netlink, struct prefix block)
{
	auto_free struct address *addresses = NULL;
	size_t n = 0;

	if (address_dump(netlink, 0, &addresses, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct link link;
		const char *name = prefix_contains(block, addresses[i].local)
					   ? foreign(netlink, addresses[i].ifindex, &link)
					   : NULL;

		if (!name)
			continue;
		log_warning("--wg-block %s contains %s, which this host has on %s: a client may be "
			    "given an address of that network, which is not reached then",
			prefix_text(block).s, ipv4_text(addresses[i].local).s, name);
		return true;
	}
	return false;
}

static void warn_of_route(struct netlink *netlink, struct prefix block)
{
	const struct route_filter filter = {.table = RT_TABLE_MAIN, .type = RTN_UNICAST};
	auto_free struct route *routes = NULL;
	size_t n = 0;

	if (route_dump(netlink, &filter, &routes, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct link link;
		const char *name = routes[i].destination.length > 0 &&
						   prefix_overlaps(block, routes[i].destination)
					   ? foreign(netlink, routes[i].oif, &link)
					   : NULL;

		if (!name)
			continue;
		log_warning("--wg-block %s overlaps with the route to %s by %s: what is in both is "
			    "not reached by one of the two ways",
			prefix_text(block).s, prefix_text(routes[i].destination).s, name);
		return;
	}
}

void block_warnings_log(struct netlink *netlink, struct prefix block)
{
	if (is_public(block))
		log_warning(
			"--wg-block %s is public: whoever has these addresses in the Internet "
			"cannot be reached from this host and its clients; take a private block",
			prefix_text(block).s);
	if (!warn_of_address(netlink, block))
		warn_of_route(netlink, block);
}
