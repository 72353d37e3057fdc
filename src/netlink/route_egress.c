/* Asks the kernel where a datagram would go, as it decides for a socket. Runs in the device's
 * workers and in its control thread. */
#include "netlink/route_egress.h"

#include <errno.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum { BITS_PER_BYTE = 8 };

static void put_flow(struct netlink_request *request, const struct route_flow *flow)
{
	size_t size = flow->family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	struct rtmsg *header = netlink_add(request, RTM_GETROUTE, 0, sizeof *header);

	header->rtm_family = (uint8_t)flow->family;
	header->rtm_dst_len = (uint8_t)(size * BITS_PER_BYTE);
	header->rtm_src_len = (uint8_t)(size * BITS_PER_BYTE);
	netlink_put(request, RTA_DST, &flow->to, size);
	netlink_put(request, RTA_SRC, &flow->from, size);
	netlink_put_u8(request, RTA_IP_PROTO, IPPROTO_UDP);
	netlink_put(request, RTA_DPORT, &flow->to_port, sizeof flow->to_port);
	netlink_put(request, RTA_SPORT, &flow->from_port, sizeof flow->from_port);
	if (flow->mark != 0)
		netlink_put_u32(request, RTA_MARK, flow->mark);
}

static int read_interface(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct rtmsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[RTA_OIF + 1];

	(void)number;
	if (message->nlmsg_type != RTM_NEWROUTE || !header)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	attribute_u32(table[RTA_OIF], context);
	return 0;
}

int route_egress(struct netlink *netlink, const struct route_flow *flow)
{
	struct netlink_request request;
	uint32_t interface = 0;
	int error;

	netlink_request_init(&request);
	put_flow(&request, flow);
	error = netlink_transact(netlink, &request, NULL, read_interface, &interface);
	if (error < 0)
		return error;
	return interface != 0 ? (int)interface : -ENETUNREACH;
}
