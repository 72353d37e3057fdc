/* A question about the ruleset of nftables: a socket, and a request of nf_tables' to send by it. */
#pragma once

#include <stdint.h>

#include "netlink/request.h"

struct netlink;

struct ruleset_query {
	struct netlink *netlink;
	struct netlink_request request;
};

/* A question for a socket that there is. */
void ruleset_query_init(struct netlink_request *request, uint16_t type, uint8_t family);

/* type: NFT_MSG_GET... of linux/netfilter/nf_tables.h; attributes are added by the caller. Returns
 * 0 or -errno; only then it has to be closed. */
int ruleset_query_open(struct ruleset_query *query, uint16_t type, uint8_t family);
void ruleset_query_close(struct ruleset_query *query);
