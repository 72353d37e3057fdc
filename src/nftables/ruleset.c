/*
 * Asks the kernel for chains and rules of nftables, by netlink. It opens a socket for each
 * question, and blocks until the answer is there.
 */
#include "nftables/ruleset.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "nftables/ruleset_query.h"
#include "netlink/attribute.h"
#include "netlink/socket.h"

static int read_generation(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[NFTA_GEN_ID + 1];
	uint32_t *generation = context;
	uint32_t net;

	(void)number;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	if (!attribute_u32(table[NFTA_GEN_ID], &net))
		return -EBADMSG;
	*generation = ntohl(net);
	return 0;
}

int ruleset_generation_by(struct netlink *netlink, uint32_t *generation)
{
	struct netlink_request request;

	ruleset_query_init(&request, NFT_MSG_GETGEN, NFPROTO_UNSPEC);
	return netlink_transact(netlink, &request, NULL, read_generation, generation);
}

int ruleset_generation(uint32_t *generation)
{
	struct netlink *netlink;
	int error = netlink_open(NETLINK_NETFILTER, &netlink);

	if (error < 0)
		return error;
	error = ruleset_generation_by(netlink, generation);
	netlink_close(netlink);
	return error;
}

/* What a netlink_decode_fn gets as its filter: a pointer to a function, not the function. */
struct wanted {
	ruleset_chain_filter *filter;
};

static int decode_chain(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct wanted *wanted = filter;
	int error = ruleset_decode_chain(message, item);

	if (error < 0)
		return error;
	return wanted->filter(item) ? 1 : 0;
}

static int decode_rule(const struct nlmsghdr *message, const void *filter, void *item)
{
	int error = ruleset_decode_rule(message, item);

	(void)filter;
	return error < 0 ? error : 1;
}

int ruleset_chains(ruleset_chain_filter *wanted, struct ruleset_chain **chains, size_t *n)
{
	struct wanted filter = {wanted};
	struct ruleset_query query;
	void *items = NULL;
	int error = ruleset_query_open(&query, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC);

	*chains = NULL;
	*n = 0;
	if (error < 0)
		return error;
	error = netlink_dump_items(
		query.netlink, &query.request, decode_chain, &filter, sizeof **chains, &items, n);
	ruleset_query_close(&query);
	*chains = items;
	return error;
}

int ruleset_rules(uint8_t family, const char *table, struct ruleset_rule **rules, size_t *n)
{
	struct ruleset_query query;
	void *items = NULL;
	int error = ruleset_query_open(&query, NFT_MSG_GETRULE, family);

	*rules = NULL;
	*n = 0;
	if (error < 0)
		return error;
	netlink_put_string(&query.request, NFTA_RULE_TABLE, table);
	error = netlink_dump_items(
		query.netlink, &query.request, decode_rule, NULL, sizeof **rules, &items, n);
	ruleset_query_close(&query);
	*rules = items;
	return error;
}

static int decode_counter(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct nlattr *table[NFTA_OBJ_DATA + 1], *data[NFTA_COUNTER_PACKETS + 1];
	struct ruleset_counter *counter = item;
	uint64_t packets;

	(void)filter;
	attributes_of_message(
		message, sizeof(struct nfgenmsg), table, sizeof table / sizeof *table);
	attributes_of_nest(table[NFTA_OBJ_DATA], data, sizeof data / sizeof *data);
	if (!attribute_string(table[NFTA_OBJ_NAME], counter->name, sizeof counter->name) ||
		!attribute_u64(data[NFTA_COUNTER_PACKETS], &packets))
		return -EBADMSG;
	counter->packets = be64toh(packets);
	return 1;
}

int ruleset_counters(
	uint8_t family, const char *table, struct ruleset_counter **counters, size_t *n)
{
	struct ruleset_query query;
	void *items = NULL;
	int error = ruleset_query_open(&query, NFT_MSG_GETOBJ, family);

	*counters = NULL;
	*n = 0;
	if (error < 0)
		return error;
	netlink_put_string(&query.request, NFTA_OBJ_TABLE, table);
	netlink_put_u32(&query.request, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	error = netlink_dump_items(
		query.netlink, &query.request, decode_counter, NULL, sizeof **counters, &items, n);
	ruleset_query_close(&query);
	*counters = items;
	return error;
}

const char *ruleset_family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_INET:
		return "inet";
	default:
		return NULL;
	}
}
