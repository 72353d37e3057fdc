/* IPv4 policy rules (ip-rule(8), RTM_NEWRULE). */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct netlink;
struct netlink_request;
struct nlmsghdr;

struct rule {
	uint32_t priority; /* "preference" in ip-rule(8): the lowest comes first */
	struct prefix from, to; /* length 0: any */
	char iif[IF_NAMESIZE], oif[IF_NAMESIZE]; /* "": any */
	uint32_t mark, mask; /* mask 0: any */
	uint8_t action; /* FR_ACT_TO_TBL, ... of linux/fib_rules.h */
	uint32_t table; /* of FR_ACT_TO_TBL */
	uint32_t target; /* of FR_ACT_GOTO: the priority of the rule to go on with */
	uint8_t protocol; /* RTPROT_...: who added it */
	bool inverted; /* for all that the conditions do not describe */
	bool no_default; /* of FR_ACT_TO_TBL: the table's default route does not count */
	bool conditional; /* read only: inverted, or with conditions that are not in here */
};

/* -EEXIST if the same rule with the same priority is there (whatever its protocol). */
int rule_add(struct netlink *netlink, const struct rule *rule);
/* The first rule that has all that is given. -ENOENT if there is none. What is 0 or "" matches any.
 */
int rule_delete(struct netlink *netlink, const struct rule *rule);
/* In the order of priority. The array is the caller's to free. */
int rule_dump(struct netlink *netlink, struct rule **rules, size_t *n);

/* The encoding by itself: as address_put() and address_decode(). filter is NULL, item a struct
 * rule. */
void rule_put(
	struct netlink_request *request, uint16_t type, uint16_t flags, const struct rule *rule);
int rule_decode(const struct nlmsghdr *message, const void *filter, void *item);
