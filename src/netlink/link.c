/*
 * Network interfaces as netlink messages. Runs in the broker, the client, `vprox clean` and, for
 * the device's own interface, in its control thread.
 */
#include "netlink/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum {
	LINK_GSO_IPV4_MAX_SIZE = 63, /* IFLA_GSO_IPV4_MAX_SIZE, Linux 6.3 */
};

static const char kind_ipip[] = "ipip";

static struct ifinfomsg *add_message(
	struct netlink_request *request, uint16_t type, uint16_t flags, unsigned int ifindex)
{
	struct ifinfomsg *header = netlink_add(request, type, flags, sizeof *header);

	header->ifi_family = AF_UNSPEC;
	header->ifi_index = (int)ifindex;
	return header;
}

void link_put_get(struct netlink_request *request, const char *name)
{
	add_message(request, RTM_GETLINK, 0, 0);
	netlink_put_string(request, IFLA_IFNAME, name);
	netlink_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

void link_put_delete(struct netlink_request *request, unsigned int ifindex)
{
	add_message(request, RTM_DELLINK, 0, ifindex);
}

void link_put_set(
	struct netlink_request *request, unsigned int ifindex, const struct link_change *change)
{
	struct ifinfomsg *header = add_message(request, RTM_SETLINK, 0, ifindex);

	if (change->up)
		header->ifi_flags = header->ifi_change = IFF_UP;
	if (change->set_group)
		netlink_put_u32(request, IFLA_GROUP, change->group);
	if (change->alias)
		netlink_put(request, IFLA_IFALIAS, change->alias, strlen(change->alias));
	if (change->namespace_of != 0)
		netlink_put_u32(request, IFLA_NET_NS_PID, (uint32_t)change->namespace_of);
	if (change->mtu != 0)
		netlink_put_u32(request, IFLA_MTU, change->mtu);
	if (change->gso_max_size != 0) {
		netlink_put_u32(request, IFLA_GSO_MAX_SIZE, change->gso_max_size);
		netlink_put_u32(request, LINK_GSO_IPV4_MAX_SIZE, change->gso_max_size);
	}
}

/* Up to the kind; returns what netlink_nest_end() is to end. */
static size_t begin_new(struct netlink_request *request, const char *name, const char *kind)
{
	size_t info;

	add_message(request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	netlink_put_string(request, IFLA_IFNAME, name);
	info = netlink_nest_begin(request, IFLA_LINKINFO);
	netlink_put(request, IFLA_INFO_KIND, kind, strlen(kind));
	return info;
}

void link_put_new(struct netlink_request *request, const char *name, const char *kind)
{
	netlink_nest_end(request, begin_new(request, name, kind));
}

void link_put_new_ipip(
	struct netlink_request *request, const char *name, struct ipv4 local, struct ipv4 remote)
{
	const size_t info = begin_new(request, name, kind_ipip);
	const size_t data = netlink_nest_begin(request, IFLA_INFO_DATA);

	/* The kernel's own default; ip(8) asks for any protocol, MPLS among them. */
	netlink_put_u8(request, IFLA_IPTUN_PROTO, IPPROTO_IPIP);
	netlink_put_ipv4(request, IFLA_IPTUN_LOCAL, local);
	netlink_put_ipv4(request, IFLA_IPTUN_REMOTE, remote);
	netlink_put_u8(request, IFLA_IPTUN_PMTUDISC, 0);
	netlink_put_u8(request, IFLA_IPTUN_TTL, 0); /* inherit */
	netlink_nest_end(request, data);
	netlink_nest_end(request, info);
}

void link_put_new_ipip_external(struct netlink_request *request, const char *name)
{
	const size_t info = begin_new(request, name, kind_ipip);
	const size_t data = netlink_nest_begin(request, IFLA_INFO_DATA);

	netlink_put_u8(request, IFLA_IPTUN_PROTO, IPPROTO_IPIP);
	netlink_put(request, IFLA_IPTUN_COLLECT_METADATA, NULL, 0);
	netlink_nest_end(request, data);
	netlink_nest_end(request, info);
}

static void decode_ipip(const struct nlattr *data, struct link *link)
{
	const struct nlattr *table[IFLA_IPTUN_COLLECT_METADATA + 1];

	attributes_of_nest(data, table, sizeof table / sizeof *table);
	attribute_ipv4(table[IFLA_IPTUN_LOCAL], &link->local);
	attribute_ipv4(table[IFLA_IPTUN_REMOTE], &link->remote);
	link->is_external = table[IFLA_IPTUN_COLLECT_METADATA];
}

int link_decode(const struct nlmsghdr *message, const void *filter, void *item)
{
	const char *kind = filter;
	const struct ifinfomsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[IFLA_GROUP + 1], *info[IFLA_INFO_DATA + 1];
	struct link *link = item;

	if (message->nlmsg_type != RTM_NEWLINK || !header || header->ifi_index <= 0)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	attributes_of_nest(table[IFLA_LINKINFO], info, sizeof info / sizeof *info);
	*link = (struct link){
		.ifindex = (unsigned int)header->ifi_index,
		.type = header->ifi_type,
		.flags = header->ifi_flags,
	};
	attribute_string(info[IFLA_INFO_KIND], link->kind, sizeof link->kind);
	/* A kind whose module is not loaded is not filtered by the kernel. */
	if (kind && strcmp(kind, link->kind) != 0)
		return 0;
	attribute_string(table[IFLA_IFNAME], link->name, sizeof link->name);
	attribute_string(table[IFLA_IFALIAS], link->alias, sizeof link->alias);
	attribute_u32(table[IFLA_GROUP], &link->group);
	attribute_u32(table[IFLA_MTU], &link->mtu);
	link->has_mac = link->type == ARPHRD_ETHER &&
			attribute_bytes(table[IFLA_ADDRESS], link->mac, sizeof link->mac);
	if (strcmp(link->kind, kind_ipip) == 0)
		decode_ipip(info[IFLA_INFO_DATA], link);
	return 1;
}

int link_read_reply(void *context, size_t number, const struct nlmsghdr *message)
{
	(void)number;
	return link_decode(message, NULL, context);
}

static int get(struct netlink *netlink, struct netlink_request *request, struct link *link)
{
	int error;

	*link = (struct link){0};
	error = netlink_transact(netlink, request, NULL, link_read_reply, link);
	return error == 0 && link->ifindex == 0 ? -EBADMSG : error;
}

int link_get(struct netlink *netlink, const char *name, struct link *link)
{
	struct netlink_request request;

	netlink_request_init(&request);
	link_put_get(&request, name);
	return get(netlink, &request, link);
}

int link_get_index(struct netlink *netlink, unsigned int ifindex, struct link *link)
{
	struct netlink_request request;

	netlink_request_init(&request);
	add_message(&request, RTM_GETLINK, 0, ifindex);
	netlink_put_u32(&request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return get(netlink, &request, link);
}

int link_dump(struct netlink *netlink, const char *kind, struct link **links, size_t *n)
{
	struct netlink_request request;
	void *items;
	int error;

	netlink_request_init(&request);
	add_message(&request, RTM_GETLINK, 0, 0);
	netlink_put_u32(&request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (kind) {
		size_t info = netlink_nest_begin(&request, IFLA_LINKINFO);

		netlink_put_string(&request, IFLA_INFO_KIND, kind);
		netlink_nest_end(&request, info);
	}
	error = netlink_dump_items(netlink, &request, link_decode, kind, sizeof **links, &items, n);
	*links = items;
	return error;
}

int link_delete(struct netlink *netlink, unsigned int ifindex)
{
	struct netlink_request request;

	netlink_request_init(&request);
	link_put_delete(&request, ifindex);
	return netlink_execute(netlink, &request);
}

int link_delete_group(struct netlink *netlink, uint32_t group)
{
	struct netlink_request request;

	if (group == 0)
		return -EINVAL;
	netlink_request_init(&request);
	add_message(&request, RTM_DELLINK, 0, 0);
	netlink_put_u32(&request, IFLA_GROUP, group);
	return netlink_execute(netlink, &request);
}

int link_set(struct netlink *netlink, unsigned int ifindex, const struct link_change *change)
{
	struct netlink_request request;

	netlink_request_init(&request);
	link_put_set(&request, ifindex, change);
	return netlink_execute(netlink, &request);
}

int link_probe_ipip(struct netlink *netlink)
{
	/* The kernel looks for the kind, loading its module, before it lets the kind check the
	 * values: ipip_tunnel_validate() in net/ipv4/ipip.c refuses this protocol with -EINVAL. */
	enum {
		NO_TUNNEL_PROTOCOL = IPPROTO_TCP,
	};
	struct netlink_request request;
	size_t info, data;
	int error;

	netlink_request_init(&request);
	add_message(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	info = netlink_nest_begin(&request, IFLA_LINKINFO);
	netlink_put_string(&request, IFLA_INFO_KIND, kind_ipip);
	data = netlink_nest_begin(&request, IFLA_INFO_DATA);
	netlink_put_u8(&request, IFLA_IPTUN_PROTO, NO_TUNNEL_PROTOCOL);
	netlink_nest_end(&request, data);
	netlink_nest_end(&request, info);
	error = netlink_execute(netlink, &request);
	return error == -EINVAL ? 0 : error == 0 ? -EBADMSG : error;
}
