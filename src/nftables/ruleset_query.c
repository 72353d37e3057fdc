/* Begins and ends questions about the ruleset of nftables. Runs in the broker and in clients. */
#include "nftables/ruleset_query.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "netlink/socket.h"

int ruleset_query_open(struct ruleset_query *query, uint16_t type, uint8_t family)
{
	struct nfgenmsg *header;
	int error = netlink_open(NETLINK_NETFILTER, &query->netlink);

	if (error < 0)
		return error;
	netlink_request_init(&query->request);
	header = netlink_add(
		&query->request, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), 0, sizeof *header);
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return 0;
}

void ruleset_query_close(struct ruleset_query *query)
{
	netlink_close(query->netlink);
}
