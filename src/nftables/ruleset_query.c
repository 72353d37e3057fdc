/* Begins and ends questions about the ruleset of nftables. Runs in the broker and in clients. */
#include "nftables/ruleset_query.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "netlink/socket.h"

void ruleset_query_init(struct netlink_request *request, uint16_t type, uint8_t family)
{
	struct nfgenmsg *header;

	netlink_request_init(request);
	header = netlink_add(
		request, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), 0, sizeof *header);
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
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
