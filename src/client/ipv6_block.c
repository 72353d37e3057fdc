/* The policy rules that block IPv6. Runs in the client. */
#include "client/ipv6_block.h"

#include <errno.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "client/local_ports.h"
#include "client/mark.h"
#include "netlink/rule_ipv6.h"

/* In the order of their preferences. Several rules share that of what passes. */
enum {
	ON_THE_LINK,
	PASSES,
	REFUSED,
};

enum {
	LAST_OF_RULES = 65534, /* the highest port that a rule takes: net/core/fib_rules.c */
};

static int add(struct netlink *netlink, uint32_t priority, struct rule_ipv6 rule)
{
	int error;

	rule.priority += priority;
	rule.protocol = CLIENT_PROTOCOL;
	if (rule.action == FR_ACT_TO_TBL)
		rule.table = RT_TABLE_MAIN;
	error = rule_ipv6_add(netlink, &rule);
	return error == -EEXIST ? 0 : error;
}

/* From the lowest port to the highest, but for those of connections that begin here. */
static int add_servers(
	struct netlink *netlink, uint32_t priority, uint8_t ip_protocol, struct local_ports local)
{
	const struct rule_ipv6 below = {.priority = PASSES,
		.action = FR_ACT_TO_TBL,
		.ip_protocol = ip_protocol,
		.first_port = 1,
		.last_port = (uint16_t)(local.first - 1)};
	struct rule_ipv6 above = below;
	int error = local.first > 1 ? add(netlink, priority, below) : 0;

	above.first_port = (uint16_t)(local.last + 1);
	above.last_port = LAST_OF_RULES;
	return error < 0 || local.last >= LAST_OF_RULES ? error : add(netlink, priority, above);
}

/* What may be an answer; whether it is one the block decides. Marks are of what is forwarded. */
static int add_answers(struct netlink *netlink, uint32_t priority)
{
	const struct rule_ipv6 marked = {.priority = PASSES,
		.action = FR_ACT_TO_TBL,
		.mark = CLIENT_OUTSIDE_BIT,
		.mask = CLIENT_OUTSIDE_BIT};
	const struct rule_ipv6 icmp = {
		.priority = PASSES, .action = FR_ACT_TO_TBL, .ip_protocol = IPPROTO_ICMPV6};
	const struct local_ports local = local_ports_read();
	int error = add(netlink, priority, marked);

	if (error == 0)
		error = add(netlink, priority, icmp);
	if (error == 0)
		error = add_servers(netlink, priority, IPPROTO_TCP, local);
	return error < 0 ? error : add_servers(netlink, priority, IPPROTO_UDP, local);
}

static int add_block(struct netlink *netlink, uint32_t priority)
{
	const struct rule_ipv6 link = {.priority = ON_THE_LINK,
		.to = {{{0xfe, 0x80}}},
		.to_length = 10,
		.action = FR_ACT_TO_TBL};
	const struct rule_ipv6 own = {.priority = PASSES,
		.mark = CLIENT_FWMARK,
		.mask = UINT32_MAX,
		.action = FR_ACT_TO_TBL};
	const struct rule_ipv6 rest = {.priority = REFUSED, .action = FR_ACT_UNREACHABLE};
	int error = add(netlink, priority, link);

	if (error == 0)
		error = add(netlink, priority, own);
	return error < 0 ? error : add(netlink, priority, rest);
}

static bool is_without_ipv6(int error)
{
	return error == -EAFNOSUPPORT || error == -EOPNOTSUPP;
}

int ipv6_block_set(struct netlink *netlink, uint32_t priority, bool with_answers)
{
	int error = add_block(netlink, priority);

	if (error == 0 && with_answers)
		error = add_answers(netlink, priority);
	return is_without_ipv6(error) ? 0 : error;
}

int ipv6_block_clear(struct netlink *netlink, uint32_t priority)
{
	int result = 0;

	for (uint32_t i = 0; i < IPV6_BLOCK_PRIORITIES; i++) {
		int error;

		do
			error = rule_ipv6_delete(netlink, priority + i, CLIENT_PROTOCOL);
		while (error == 0);
		if (error != -ENOENT && !is_without_ipv6(error))
			result = error;
	}
	return result;
}
