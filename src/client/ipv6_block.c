/* The policy rules that block IPv6. Runs in the client. */
#include "client/ipv6_block.h"

#include <errno.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "client/mark.h"
#include "netlink/rule_ipv6.h"

int ipv6_block_set(struct netlink *netlink, uint32_t priority)
{
	const struct rule_ipv6 rules[IPV6_BLOCK_RULES] = {
		{.priority = priority,
			.to = {{{0xfe, 0x80}}},
			.to_length = 10,
			.action = FR_ACT_TO_TBL,
			.table = RT_TABLE_MAIN,
			.protocol = CLIENT_PROTOCOL},
		{.priority = priority + 1,
			.mark = CLIENT_FWMARK,
			.action = FR_ACT_TO_TBL,
			.table = RT_TABLE_MAIN,
			.protocol = CLIENT_PROTOCOL},
		{.priority = priority + 2,
			.action = FR_ACT_UNREACHABLE,
			.protocol = CLIENT_PROTOCOL},
	};

	for (int i = 0; i < IPV6_BLOCK_RULES; i++) {
		int error = rule_ipv6_add(netlink, &rules[i]);

		if (error == -EAFNOSUPPORT || error == -EOPNOTSUPP)
			return 0;
		if (error < 0 && error != -EEXIST)
			return error;
	}
	return 0;
}

int ipv6_block_clear(struct netlink *netlink, uint32_t priority)
{
	int result = 0;

	for (uint32_t i = 0; i < IPV6_BLOCK_RULES; i++) {
		int error = rule_ipv6_delete(netlink, priority + i, CLIENT_PROTOCOL);

		if (error < 0 && error != -ENOENT && error != -EAFNOSUPPORT && error != -EOPNOTSUPP)
			result = error;
	}
	return result;
}
