/* Keeps the rules for answers in step with the host's addresses. Runs in the client. */
#include "client/answer_rules.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <linux/fib_rules.h>

#include "base/cleanup.h"
#include "client/mark.h"
#include "netlink/address.h"
#include "netlink/rule.h"

static const struct prefix loopback = {{0x7f000000}, 8};

/* As they were read. */
struct own_addresses {
	const struct address *addresses;
	size_t n;
	unsigned int tunnel;
};

static bool is_own(const struct own_addresses *own, size_t i)
{
	return own->addresses[i].ifindex != own->tunnel &&
	       !prefix_contains(loopback, own->addresses[i].local);
}

static bool has(const struct own_addresses *own, struct ipv4 address)
{
	for (size_t i = 0; i < own->n; i++)
		if (is_own(own, i) && ipv4_equal(own->addresses[i].local, address))
			return true;
	return false;
}

static struct rule rule_at(const struct answer_place *place)
{
	return (struct rule){.priority = place->priority,
		.action = FR_ACT_GOTO,
		.target = place->target,
		.table = place->table,
		.protocol = CLIENT_PROTOCOL};
}

static bool is_for_an_address(const struct rule *rule, const struct answer_place *place)
{
	return rule->priority == place->priority && rule->protocol == CLIENT_PROTOCOL &&
	       rule->from.length == 32;
}

static int add(struct netlink *netlink, const struct rule *rule)
{
	int error = rule_add(netlink, rule);

	return error == -EEXIST ? 0 : error;
}

static int add_for_mark(struct netlink *netlink, const struct answer_place *place)
{
	struct rule rule = rule_at(place);

	rule.mark = rule.mask = CLIENT_OUTSIDE_BIT;
	return add(netlink, &rule);
}

static bool is_there(
	const struct rule *rules, size_t n, const struct answer_place *place, struct ipv4 address)
{
	for (size_t i = 0; i < n; i++)
		if (is_for_an_address(&rules[i], place) &&
			ipv4_equal(rules[i].from.address, address))
			return true;
	return false;
}

static int add_for_addresses(struct netlink *netlink, const struct answer_place *place,
	const struct own_addresses *own, const struct rule *rules, size_t n)
{
	struct rule rule = rule_at(place);
	int error = 0;

	for (size_t i = 0; i < own->n && error == 0; i++) {
		rule.from = (struct prefix){own->addresses[i].local, 32};
		if (is_own(own, i) && !is_there(rules, n, place, rule.from.address))
			error = add(netlink, &rule);
	}
	return error;
}

static int remove_others(struct netlink *netlink, const struct answer_place *place,
	const struct own_addresses *own, const struct rule *rules, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n && error == 0; i++) {
		if (!is_for_an_address(&rules[i], place) || has(own, rules[i].from.address))
			continue;
		error = rule_delete(netlink, &rules[i]);
		if (error == -ENOENT)
			error = 0;
	}
	return error;
}

int answer_rules_set(
	struct netlink *netlink, const struct answer_place *place, unsigned int ifindex)
{
	auto_free struct address *addresses = NULL;
	auto_free struct rule *rules = NULL;
	struct own_addresses own = {.tunnel = ifindex};
	size_t n = 0;
	int error = address_dump(netlink, 0, &addresses, &own.n);

	own.addresses = addresses;
	if (error == 0)
		error = rule_dump(netlink, &rules, &n);
	if (error == 0)
		error = add_for_mark(netlink, place);
	if (error == 0)
		error = add_for_addresses(netlink, place, &own, rules, n);
	if (error == 0)
		error = remove_others(netlink, place, &own, rules, n);
	return error;
}
