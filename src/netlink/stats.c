/* Counters of interfaces as netlink messages. Runs in the broker. */
#include "netlink/stats.h"

#include <sys/socket.h>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

int stats_decode(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct if_stats_msg *header = message_header(message, sizeof *header);
	const struct nlattr *table[IFLA_STATS_LINK_64 + 1];
	struct link_stats *stats = item;
	/* The kernel's struct rtnl_link_stats64 has grown; what is needed stands at its start. */
	struct {
		uint64_t packets_received, packets_sent, received, sent;
	} counters;

	(void)filter;
	if (message->nlmsg_type != RTM_NEWSTATS || !header)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	if (!attribute_bytes(table[IFLA_STATS_LINK_64], &counters, sizeof counters))
		return 0;
	*stats = (struct link_stats){
		.ifindex = header->ifindex,
		.received = counters.received,
		.sent = counters.sent,
	};
	return 1;
}

static void put_get(struct netlink_request *request)
{
	struct if_stats_msg *header;

	netlink_request_init(request);
	header = netlink_add(request, RTM_GETSTATS, 0, sizeof *header);
	header->family = AF_UNSPEC;
	header->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
}

int stats_dump_begin(struct netlink *netlink)
{
	struct netlink_request request;

	put_get(&request);
	return netlink_dump_begin(netlink, &request);
}

int stats_dump(struct netlink *netlink, struct link_stats **stats, size_t *n)
{
	struct netlink_request request;
	void *items;
	int error;

	put_get(&request);
	error = netlink_dump_items(
		netlink, &request, stats_decode, NULL, sizeof **stats, &items, n);
	*stats = items;
	return error;
}
