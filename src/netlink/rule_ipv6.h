/* IPv6 policy rules, as far as a client needs them (ip-rule(8), RTM_NEWRULE). */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

struct netlink;

struct rule_ipv6 {
	uint32_t priority; /* "preference" in ip-rule(8): the lowest comes first */
	struct in6_addr to;
	uint8_t to_length; /* 0: any */
	uint32_t mark, mask; /* of packets; mark 0: any */
	uint8_t ip_protocol; /* IPPROTO_...; 0: any */
	uint16_t first_port, last_port; /* of the sender, host byte order; first 0: any */
	uint8_t action; /* FR_ACT_TO_TBL, FR_ACT_UNREACHABLE, ... of linux/fib_rules.h */
	uint8_t table; /* of FR_ACT_TO_TBL */
	uint8_t protocol; /* RTPROT_...: who added it */
};

/* -EEXIST if the same rule with the same priority is there; -EAFNOSUPPORT if the kernel has no
 * IPv6.
 */
int rule_ipv6_add(struct netlink *netlink, const struct rule_ipv6 *rule);
/* The first one with this priority and protocol. -ENOENT if there is none. */
int rule_ipv6_delete(struct netlink *netlink, uint32_t priority, uint8_t protocol);
