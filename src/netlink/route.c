/*
 * IPv4 routes as netlink messages. Runs in the broker, the client, `vprox clean` and the device's
 * control thread.
 */
#include "netlink/route.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum {
	IPV4_BITS = 32,
};

struct route route_of_link(struct prefix destination, unsigned int oif)
{
	return (struct route){
		.destination = destination,
		.table = RT_TABLE_MAIN,
		.protocol = RTPROT_BOOT,
		.scope = RT_SCOPE_LINK,
		.type = RTN_UNICAST,
		.oif = oif,
	};
}

void route_put(
	struct netlink_request *request, uint16_t type, uint16_t flags, const struct route *route)
{
	struct rtmsg *header = netlink_add(request, type, flags, sizeof *header);

	header->rtm_family = AF_INET;
	header->rtm_dst_len = route->destination.length;
	header->rtm_table = (uint8_t)(route->table < 256 ? route->table : RT_TABLE_UNSPEC);
	header->rtm_protocol = route->protocol;
	header->rtm_scope = route->scope;
	header->rtm_type = route->type;
	if (route->destination.length > 0)
		netlink_put_ipv4(request, RTA_DST, route->destination.address);
	if (route->table >= 256)
		netlink_put_u32(request, RTA_TABLE, route->table);
	if (route->gateway.value != 0)
		netlink_put_ipv4(request, RTA_GATEWAY, route->gateway);
	if (route->oif != 0)
		netlink_put_u32(request, RTA_OIF, route->oif);
	if (route->source.value != 0)
		netlink_put_ipv4(request, RTA_PREFSRC, route->source);
	if (route->metric != 0)
		netlink_put_u32(request, RTA_PRIORITY, route->metric);
}

static int change(struct netlink *netlink, uint16_t type, uint16_t flags, const struct route *route)
{
	struct netlink_request request;

	netlink_request_init(&request);
	route_put(&request, type, flags, route);
	return netlink_execute(netlink, &request);
}

int route_set(struct netlink *netlink, const struct route *route)
{
	return change(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

int route_append(struct netlink *netlink, const struct route *route)
{
	return change(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, route);
}

int route_delete(struct netlink *netlink, const struct route *route)
{
	struct route wanted = *route;

	/* Scope 0 is "universe" and would match no other. */
	if (wanted.scope == RT_SCOPE_UNIVERSE)
		wanted.scope = RT_SCOPE_NOWHERE;
	return change(netlink, RTM_DELROUTE, 0, &wanted);
}

static void decode_first_hop(const struct nlattr *multipath, struct route *route)
{
	const struct nlattr *table[RTA_GATEWAY + 1], *nested;
	struct rtnexthop hop;

	if (!attribute_bytes(multipath, &hop, sizeof hop))
		return;
	if (hop.rtnh_len < sizeof hop || hop.rtnh_len > mnl_attr_get_payload_len(multipath))
		return;
	route->oif = (unsigned int)hop.rtnh_ifindex;
	nested =
		(const struct nlattr *)((const char *)mnl_attr_get_payload(multipath) + sizeof hop);
	attributes_of_bytes(nested, hop.rtnh_len - sizeof hop, table, sizeof table / sizeof *table);
	attribute_ipv4(table[RTA_GATEWAY], &route->gateway);
}

static void decode_metrics(const struct nlattr *metrics, struct route *route)
{
	const struct nlattr *table[RTAX_MTU + 1];

	attributes_of_nest(metrics, table, sizeof table / sizeof *table);
	attribute_u32(table[RTAX_MTU], &route->mtu);
}

static bool passes(const struct route_filter *filter, const struct route *route)
{
	uint8_t length = route->destination.length;

	if (filter->table != 0 && route->table != filter->table)
		return false;
	if (filter->type != 0 && route->type != filter->type)
		return false;
	if (filter->protocol != 0 && route->protocol != filter->protocol)
		return false;
	if (filter->oif != 0 && route->oif != filter->oif)
		return false;
	if (route->scope < filter->scope_at_least)
		return false;
	if (length < filter->within.length ||
		!prefix_contains(filter->within, route->destination.address))
		return false;
	return filter->length_max == 0 ||
	       (length >= filter->length_min && length <= filter->length_max);
}

int route_decode(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct rtmsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[RTA_ENCAP + 1];
	struct route *route = item;

	if (message->nlmsg_type != RTM_NEWROUTE || !header || header->rtm_family != AF_INET ||
		header->rtm_dst_len > IPV4_BITS)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	*route = (struct route){
		.destination.length = header->rtm_dst_len,
		.table = header->rtm_table,
		.protocol = header->rtm_protocol,
		.scope = header->rtm_scope,
		.type = header->rtm_type,
	};
	attribute_ipv4(table[RTA_DST], &route->destination.address);
	attribute_u32(table[RTA_TABLE], &route->table);
	attribute_ipv4(table[RTA_GATEWAY], &route->gateway);
	attribute_ipv4(table[RTA_PREFSRC], &route->source);
	attribute_u32(table[RTA_OIF], &route->oif);
	attribute_u32(table[RTA_PRIORITY], &route->metric);
	route->encapsulates = table[RTA_VIA] || table[RTA_ENCAP];
	decode_metrics(table[RTA_METRICS], route);
	decode_first_hop(table[RTA_MULTIPATH], route);
	return passes(filter, route);
}

static void put_dump(struct netlink_request *request, const struct route_filter *filter)
{
	struct rtmsg *header;

	netlink_request_init(request);
	header = netlink_add(request, RTM_GETROUTE, 0, sizeof *header);
	header->rtm_family = AF_INET;
	header->rtm_type = filter->type;
	header->rtm_protocol = filter->protocol;
	if (filter->table != 0)
		netlink_put_u32(request, RTA_TABLE, filter->table);
	if (filter->oif != 0)
		netlink_put_u32(request, RTA_OIF, filter->oif);
}

int route_dump_begin(struct netlink *netlink, const struct route_filter *filter)
{
	struct netlink_request request;

	put_dump(&request, filter);
	return netlink_dump_begin(netlink, &request);
}

int route_dump(struct netlink *netlink, const struct route_filter *filter, struct route **routes,
	size_t *n)
{
	struct netlink_request request;
	void *items;
	int error;

	put_dump(&request, filter);
	error = netlink_dump_items(
		netlink, &request, route_decode, filter, sizeof **routes, &items, n);
	*routes = items;
	return error == -ENOENT ? 0 : error;
}

static int read_lookup(void *context, size_t number, const struct nlmsghdr *message)
{
	static const struct route_filter any = {0};

	(void)number;
	return route_decode(message, &any, context);
}

int route_lookup(struct netlink *netlink, struct ipv4 to, struct ipv4 from, struct route *route)
{
	return route_lookup_marked(netlink, to, from, 0, route);
}

int route_lookup_marked(struct netlink *netlink, struct ipv4 to, struct ipv4 from, uint32_t mark,
	struct route *route)
{
	struct netlink_request request;
	struct rtmsg *header;
	int error;

	netlink_request_init(&request);
	header = netlink_add(&request, RTM_GETROUTE, 0, sizeof *header);
	header->rtm_family = AF_INET;
	header->rtm_dst_len = IPV4_BITS;
	header->rtm_flags = RTM_F_LOOKUP_TABLE;
	if (from.value != 0)
		header->rtm_src_len = IPV4_BITS;
	netlink_put_ipv4(&request, RTA_DST, to);
	if (from.value != 0)
		netlink_put_ipv4(&request, RTA_SRC, from);
	if (mark != 0)
		netlink_put_u32(&request, RTA_MARK, mark);
	*route = (struct route){0};
	error = netlink_transact(netlink, &request, NULL, read_lookup, route);
	return error == 0 && route->type == RTN_UNSPEC ? -ENETUNREACH : error;
}

int route_default(struct netlink *netlink, struct route *route)
{
	static const struct route_filter filter = {.table = RT_TABLE_MAIN, .type = RTN_UNICAST};
	auto_free struct route *routes = NULL;
	size_t n;
	const struct route *best = NULL;
	int error = route_dump(netlink, &filter, &routes, &n);

	if (error < 0)
		return error;
	for (size_t i = 0; i < n; i++)
		if (routes[i].destination.length == 0 && routes[i].oif != 0 &&
			(!best || routes[i].metric < best->metric))
			best = &routes[i];
	if (!best)
		return -ENETUNREACH;
	*route = *best;
	return 0;
}
