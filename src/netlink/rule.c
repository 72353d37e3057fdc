/* IPv4 policy rules as netlink messages. Runs in the broker, the client and `vprox clean`. */
#include "netlink/rule.h"

#include <sys/socket.h>

#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum {
	IPV4_BITS = 32,
};

void rule_put(
	struct netlink_request *request, uint16_t type, uint16_t flags, const struct rule *rule)
{
	struct fib_rule_hdr *header = netlink_add(request, type, flags, sizeof *header);

	header->family = AF_INET;
	header->src_len = rule->from.length;
	header->dst_len = rule->to.length;
	header->action = rule->action;
	header->table = (uint8_t)(rule->table < 256 ? rule->table : RT_TABLE_UNSPEC);
	if (rule->inverted)
		header->flags |= FIB_RULE_INVERT;
	if (rule->no_default)
		netlink_put_u32(request, FRA_SUPPRESS_PREFIXLEN, 0);
	if (rule->from.length > 0)
		netlink_put_ipv4(request, FRA_SRC, rule->from.address);
	if (rule->to.length > 0)
		netlink_put_ipv4(request, FRA_DST, rule->to.address);
	if (rule->priority != 0 || type == RTM_NEWRULE)
		netlink_put_u32(request, FRA_PRIORITY, rule->priority);
	if (rule->mask != 0) {
		netlink_put_u32(request, FRA_FWMARK, rule->mark);
		netlink_put_u32(request, FRA_FWMASK, rule->mask);
	}
	if (rule->table >= 256)
		netlink_put_u32(request, FRA_TABLE, rule->table);
	if (rule->target != 0)
		netlink_put_u32(request, FRA_GOTO, rule->target);
	if (rule->iif[0] != '\0')
		netlink_put_string(request, FRA_IIFNAME, rule->iif);
	if (rule->oif[0] != '\0')
		netlink_put_string(request, FRA_OIFNAME, rule->oif);
	if (rule->protocol != 0)
		netlink_put_u8(request, FRA_PROTOCOL, rule->protocol);
}

static int change(struct netlink *netlink, uint16_t type, uint16_t flags, const struct rule *rule)
{
	struct netlink_request request;

	netlink_request_init(&request);
	rule_put(&request, type, flags, rule);
	return netlink_execute(netlink, &request);
}

int rule_add(struct netlink *netlink, const struct rule *rule)
{
	return change(netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int rule_delete(struct netlink *netlink, const struct rule *rule)
{
	return change(netlink, RTM_DELRULE, 0, rule);
}

/* Whether there is a condition that struct rule does not carry. */
static bool has_other_conditions(
	const struct fib_rule_hdr *header, const struct nlattr *const table[FRA_MAX + 1])
{
	static const uint16_t others[] = {FRA_FLOW, FRA_TUN_ID, FRA_L3MDEV, FRA_UID_RANGE,
		FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE};
	uint32_t no_suppression = UINT32_MAX;
	uint8_t l3mdev = 0;

	if (header->tos != 0 || header->flags & FIB_RULE_INVERT)
		return true;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (!table[others[i]])
			continue;
		if (others[i] != FRA_L3MDEV || !attribute_u8(table[FRA_L3MDEV], &l3mdev) ||
			l3mdev != 0)
			return true;
	}
	attribute_u32(table[FRA_SUPPRESS_PREFIXLEN], &no_suppression);
	if (no_suppression != UINT32_MAX)
		return true;
	attribute_u32(table[FRA_SUPPRESS_IFGROUP], &no_suppression);
	return no_suppression != UINT32_MAX;
}

int rule_decode(const struct nlmsghdr *message, const void *filter, void *item)
{
	const struct fib_rule_hdr *header = message_header(message, sizeof *header);
	const struct nlattr *table[FRA_MAX + 1];
	struct rule *rule = item;
	uint32_t suppressed;

	(void)filter;
	if (message->nlmsg_type != RTM_NEWRULE || !header || header->family != AF_INET ||
		header->src_len > IPV4_BITS || header->dst_len > IPV4_BITS)
		return 0;
	attributes_of_message(message, sizeof *header, table, sizeof table / sizeof *table);
	*rule = (struct rule){
		.from.length = header->src_len,
		.to.length = header->dst_len,
		.action = header->action,
		.table = header->table,
		.conditional = has_other_conditions(header, table),
	};
	attribute_ipv4(table[FRA_SRC], &rule->from.address);
	attribute_ipv4(table[FRA_DST], &rule->to.address);
	attribute_u32(table[FRA_PRIORITY], &rule->priority);
	attribute_u32(table[FRA_TABLE], &rule->table);
	attribute_u32(table[FRA_GOTO], &rule->target);
	attribute_u8(table[FRA_PROTOCOL], &rule->protocol);
	attribute_u32(table[FRA_FWMARK], &rule->mark);
	attribute_u32(table[FRA_FWMASK], &rule->mask);
	rule->inverted = header->flags & FIB_RULE_INVERT;
	rule->no_default =
		attribute_u32(table[FRA_SUPPRESS_PREFIXLEN], &suppressed) && suppressed == 0;
	attribute_string(table[FRA_IIFNAME], rule->iif, sizeof rule->iif);
	attribute_string(table[FRA_OIFNAME], rule->oif, sizeof rule->oif);
	return 1;
}

int rule_dump(struct netlink *netlink, struct rule **rules, size_t *n)
{
	struct netlink_request request;
	struct fib_rule_hdr *header;
	void *items;
	int error;

	netlink_request_init(&request);
	header = netlink_add(&request, RTM_GETRULE, 0, sizeof *header);
	header->family = AF_INET;
	error = netlink_dump_items(netlink, &request, rule_decode, NULL, sizeof **rules, &items, n);
	*rules = items;
	return error;
}
