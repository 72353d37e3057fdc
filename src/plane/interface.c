/*
 * What vprox<i> needs besides its peers, made where it is missing. Runs in the server's broker.
 */
#include "plane/interface.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "plane/plane.h"

static bool is_gateway(const struct plane_endpoint *endpoint, const struct address *address)
{
	return ipv4_equal(address->local, endpoint->gateway) &&
	       address->prefix_length == endpoint->block.length;
}

int interface_matches(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, bool *match, char reason[INTERFACE_REASON_SIZE])
{
	auto_free struct address *addresses = NULL;
	bool addressed = false;
	struct ipv4 bind;
	size_t n;
	int error = address_dump(netlink, link->ifindex, &addresses, &n);

	if (error < 0)
		return error;
	for (size_t i = 0; i < n; i++)
		addressed |= is_gateway(endpoint, &addresses[i]);
	*match = false;
	if (ipv4_parse(link->alias, &bind) == 0 && !ipv4_equal(bind, endpoint->bind))
		snprintf(reason, INTERFACE_REASON_SIZE, "it belongs to %s", link->alias);
	else if (n > 0 && !addressed)
		snprintf(reason, INTERFACE_REASON_SIZE, "its address is %s/%u, not %s/%u",
			ipv4_text(addresses[0].local).s, addresses[0].prefix_length,
			ipv4_text(endpoint->gateway).s, endpoint->block.length);
	else
		*match = true;
	return 0;
}

static int bring_up(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *given)
{
	struct ipv4_text alias = ipv4_text(endpoint->bind);
	struct link_change change = {
		.up = !endpoint->is_standby && !(link->flags & IFF_UP),
		.alias = strcmp(link->alias, alias.s) == 0 ? NULL : alias.s,
	};
	int error;

	if (!change.up && !change.alias)
		return 0;
	error = link_set(netlink, link->ifindex, &change);
	if (error == 0)
		*given |= (change.up ? INTERFACE_UP : 0) | (change.alias ? INTERFACE_ALIAS : 0);
	return error;
}

static int find_address(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, bool *is_there)
{
	auto_free struct address *addresses = NULL;
	size_t n;
	int error = address_dump(netlink, link->ifindex, &addresses, &n);

	*is_there = false;
	for (size_t i = 0; error == 0 && i < n; i++)
		*is_there |= is_gateway(endpoint, &addresses[i]);
	return error;
}

static int give_address(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *given)
{
	const struct address gateway = {
		.ifindex = link->ifindex,
		.local = endpoint->gateway,
		.prefix_length = endpoint->block.length,
		.valid_s = ADDRESS_FOREVER,
		.preferred_s = ADDRESS_FOREVER,
	};
	bool is_there;
	int error = find_address(netlink, endpoint, link, &is_there);

	if (error < 0 || is_there)
		return error;
	error = address_add(netlink, &gateway);
	if (error == 0)
		*given |= INTERFACE_ADDRESS;
	return error == -EEXIST ? 0 : error;
}

static int find_route(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, bool *is_there)
{
	const struct route_filter filter = {
		.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.oif = link->ifindex,
		.within = endpoint->block,
		.length_min = endpoint->block.length,
		.length_max = endpoint->block.length,
	};
	auto_free struct route *routes = NULL;
	size_t n = 0;
	int error = route_dump(netlink, &filter, &routes, &n);

	*is_there = n > 0;
	return error;
}

/* The kernel makes this route with the address, and not again when only the route was removed. */
static int give_route(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *given)
{
	struct route route = route_of_link(endpoint->block, link->ifindex);
	bool is_there;
	int error = find_route(netlink, endpoint, link, &is_there);

	if (error < 0 || is_there)
		return error;
	/* As the kernel makes it, so that it goes with the address. */
	route.protocol = RTPROT_KERNEL;
	route.source = endpoint->gateway;
	error = route_append(netlink, &route);
	if (error == 0)
		*given |= INTERFACE_ROUTE;
	return error == -EEXIST ? 0 : error;
}

int interface_complete(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *given, const char **step)
{
	int error;

	*given = 0;
	*step = "bring it up";
	error = bring_up(netlink, endpoint, link, given);
	if (error < 0)
		return error;
	*step = "give it its address";
	error = give_address(netlink, endpoint, link, given);
	/* One that is down can have none; when it is set up the kernel makes it by itself. */
	if (error < 0 || endpoint->is_standby)
		return error;
	*step = "give it the route to its block";
	return give_route(netlink, endpoint, link, given);
}

int interface_lacks(struct netlink *netlink, const struct plane_endpoint *endpoint,
	const struct link *link, unsigned int *lacks)
{
	bool has_address = false, has_route = false;
	int error = find_address(netlink, endpoint, link, &has_address);

	if (error == 0)
		error = find_route(netlink, endpoint, link, &has_route);
	*lacks = (link->flags & IFF_UP ? 0 : INTERFACE_UP) |
		 (strcmp(link->alias, ipv4_text(endpoint->bind).s) == 0 ? 0 : INTERFACE_ALIAS) |
		 (has_address ? 0 : INTERFACE_ADDRESS) | (has_route ? 0 : INTERFACE_ROUTE);
	return error;
}

void interface_report(const char *name, unsigned int given)
{
	if (given == 0)
		return;
	log_warning("%s: somebody has changed it, put right:%s%s%s%s", name,
		given & INTERFACE_UP ? " it was down;" : "",
		given & INTERFACE_ALIAS ? " it had not its alias;" : "",
		given & INTERFACE_ADDRESS ? " it had not its address;" : "",
		given & INTERFACE_ROUTE ? " it had not the route to its block;" : "");
}
