/*
 * IPv4 addresses of interfaces as netlink messages. Runs in the broker, the client and `vprox
 * clean`; blocks until the kernel has answered.
 */
#include "netlink/address.h"

#include <sys/socket.h>

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

void address_put(struct netlink_request *request, uint16_t type, uint16_t flags,
	const struct address *address)
{
	struct ifaddrmsg *header = netlink_add(request, type, flags, sizeof *header);
	struct ifa_cacheinfo lifetime = {
		.ifa_prefered = address->preferred_s,
		.ifa_valid = address->valid_s,
	};

	header->ifa_family = AF_INET;
	header->ifa_prefixlen = address->prefix_length;
	header->ifa_scope = address->scope;
	header->ifa_index = address->ifindex;
	netlink_put_ipv4(request, IFA_LOCAL, address->local);
	netlink_put_ipv4(request, IFA_ADDRESS, address->local);
	if (type != RTM_NEWADDR)
		return;
	if (address->label[0] != '\0')
		netlink_put_string(request, IFA_LABEL, address->label);
	if (address->flags & ~(uint32_t)IFA_F_PERMANENT)
		netlink_put_u32(request, IFA_FLAGS, address->flags & ~(uint32_t)IFA_F_PERMANENT);
	if (address->protocol != ADDRESS_PROTOCOL_NONE)
		netlink_put_u8(request, IFA_PROTO, address->protocol);
	netlink_put(request, IFA_CACHEINFO, &lifetime, sizeof lifetime);
}

static int change(
	struct netlink *netlink, uint16_t type, uint16_t flags, const struct address *address)
{
	struct netlink_request request;

	netlink_request_init(&request);
	address_put(&request, type, flags, address);
	return netlink_execute(netlink, &request);
}

int address_set(struct netlink *netlink, const struct address *address)
{
	return change(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
}

int address_add(struct netlink *netlink, const struct address *address)
{
	return change(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

int address_delete(struct netlink *netlink, const struct address *address)
{
	return change(netlink, RTM_DELADDR, 0, address);
}

int address_decode(const struct nlmsghdr *message, const void *filter, void *item)
{
	const unsigned int *ifindex = filter;
	const struct ifaddrmsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[IFA_PROTO + 1];
	struct address *address = item;
	struct ifa_cacheinfo lifetime;

	if (message->nlmsg_type != RTM_NEWADDR || !header || header->ifa_family != AF_INET)
		return 0;
	/* Kernels before 4.20 do not filter. */
	if (*ifindex != 0 && header->ifa_index != *ifindex)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	*address = (struct address){
		.ifindex = header->ifa_index,
		.prefix_length = header->ifa_prefixlen,
		.scope = header->ifa_scope,
		.flags = header->ifa_flags,
		.valid_s = ADDRESS_FOREVER,
		.preferred_s = ADDRESS_FOREVER,
	};
	if (!attribute_ipv4(table[IFA_LOCAL], &address->local) &&
		!attribute_ipv4(table[IFA_ADDRESS], &address->local))
		return 0;
	attribute_u32(table[IFA_FLAGS], &address->flags);
	attribute_u8(table[IFA_PROTO], &address->protocol);
	attribute_string(table[IFA_LABEL], address->label, sizeof address->label);
	if (attribute_bytes(table[IFA_CACHEINFO], &lifetime, sizeof lifetime)) {
		address->valid_s = lifetime.ifa_valid;
		address->preferred_s = lifetime.ifa_prefered;
	}
	return 1;
}

int address_dump(
	struct netlink *netlink, unsigned int ifindex, struct address **addresses, size_t *n)
{
	struct netlink_request request;
	struct ifaddrmsg *header;
	void *items;
	int error;

	netlink_request_init(&request);
	header = netlink_add(&request, RTM_GETADDR, 0, sizeof *header);
	header->ifa_family = AF_INET;
	header->ifa_index = ifindex;
	error = netlink_dump_items(
		netlink, &request, address_decode, &ifindex, sizeof **addresses, &items, n);
	*addresses = items;
	return error;
}
