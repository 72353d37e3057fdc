/* Begins and ends questions about the ruleset of nftables. Runs in the broker and in clients. */
#include "nftables/ruleset_query.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "netlink/netfilter.h"
#include "netlink/socket.h"

void ruleset_query_init(struct netlink_request *request, uint16_t type, uint8_t family)
{
	netlink_request_init(request);
	netfilter_add(request, NFNL_SUBSYS_NFTABLES, type, 0, family);
}

int ruleset_query_open(struct ruleset_query *query, uint16_t type, uint8_t family)
{
	int error = netlink_open(NETLINK_NETFILTER, &query->netlink);

	if (error == 0)
		ruleset_query_init(&query->request, type, family);
	return error;
}

void ruleset_query_close(struct ruleset_query *query)
{
	netlink_close(query->netlink);
}
