/*
 * Decides which policy rules there should be, and makes them so. Runs in the broker, every 5 s too,
 * and in `vprox clean`.
 */
#include "host/policy_rules.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "netlink/rule.h"
#include "host/host_config.h"
#include "host/mark.h"

enum {
	/* Right behind the kernel's own rule for local addresses, before any a host can have. */
	BLOCK_PREFERENCE = 1,
	TEXT_SIZE = 128,
};

/* The same to the kernel, which compares no protocols. */
static bool is_same(const struct rule *a, const struct rule *b)
{
	return a->priority == b->priority && prefix_equal(a->from, b->from) &&
	       prefix_equal(a->to, b->to) && strcmp(a->iif, b->iif) == 0 &&
	       strcmp(a->oif, b->oif) == 0 && a->mark == b->mark && a->mask == b->mask &&
	       a->action == b->action && a->table == b->table && a->conditional == b->conditional;
}

static bool contains(const struct rule *rules, size_t n, const struct rule *rule)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(&rules[i], rule))
			return true;
	return false;
}

static bool is_ours(const struct rule *rule)
{
	return rule->protocol == SERVER_MARK;
}

/*
 * Whether the rule matters for where the bind address's traffic goes, but not for where the block's
 * does. "iif lo" is what the host itself sends, as it sends the bind address's traffic; the block's
 * comes out of a tunnel.
 */
static bool is_about(const struct rule *rule, struct ipv4 bind)
{
	if (rule->conditional || rule->oif[0] != '\0')
		return false;
	if (rule->iif[0] != '\0' && strcmp(rule->iif, "lo") != 0)
		return false;
	switch (rule->action) {
	case FR_ACT_TO_TBL:
	case FR_ACT_BLACKHOLE:
	case FR_ACT_UNREACHABLE:
	case FR_ACT_PROHIBIT:
		return rule->from.length > 0 && prefix_contains(rule->from, bind);
	default:
		return false;
	}
}

/* A list that grows. */
struct rules {
	struct rule *items;
	size_t n;
};

static int append(struct rules *rules, const struct rule *rule)
{
	struct rule *items = reallocarray(rules->items, rules->n + 1, sizeof *items);

	if (!items)
		return -ENOMEM;
	items[rules->n++] = *rule;
	rules->items = items;
	return 0;
}

static int append_mirrors(struct rules *rules, const struct host_endpoint *endpoint,
	const struct rule *present, size_t n_present)
{
	for (size_t i = 0; i < n_present; i++) {
		struct rule mirror = present[i];

		if (is_ours(&present[i]) || !is_about(&present[i], endpoint->bind))
			continue;
		mirror.from = endpoint->block;
		mirror.iif[0] = '\0';
		mirror.protocol = SERVER_MARK;
		if (!contains(rules->items, rules->n, &mirror) && append(rules, &mirror) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Leaves out what the host has itself. */
static void drop_foreign(struct rules *rules, const struct rule *present, size_t n_present)
{
	size_t kept = 0;

	for (size_t i = 0; i < rules->n; i++) {
		bool is_foreign = false;

		for (size_t j = 0; j < n_present; j++)
			if (!is_ours(&present[j]) && is_same(&present[j], &rules->items[i]))
				is_foreign = true;
		if (!is_foreign)
			rules->items[kept++] = rules->items[i];
	}
	rules->n = kept;
}

/* Where the bind address has routes of its own, which know only the way to the Internet, those of
 * the main table lead there. */
static int append_internal(struct rules *rules, const struct host_config *config)
{
	const struct rule to_internal = {
		.priority = BLOCK_PREFERENCE,
		.from = config->whole_block,
		.to = config->internal.network,
		.action = FR_ACT_TO_TBL,
		.table = RT_TABLE_MAIN,
		.no_default = true,
		.conditional = true,
		.protocol = SERVER_MARK,
	};

	return config->internal.network.length > 0 ? append(rules, &to_internal) : 0;
}

int policy_rules_wanted(const struct host_config *config, const struct rule *present,
	size_t n_present, struct rule **wanted, size_t *n_wanted)
{
	struct rule to_block = {
		.priority = BLOCK_PREFERENCE,
		.to = config->whole_block,
		.action = FR_ACT_TO_TBL,
		.table = RT_TABLE_MAIN,
		.protocol = SERVER_MARK,
	};
	struct rules rules = {0};
	int error = append(&rules, &to_block);

	if (error == 0)
		error = append_internal(&rules, config);

	for (size_t i = 0; i < config->n_endpoints && error == 0; i++)
		error = append_mirrors(&rules, &config->endpoints[i], present, n_present);
	if (error < 0) {
		free(rules.items);
		rules = (struct rules){0};
	}
	drop_foreign(&rules, present, n_present);
	*wanted = rules.items;
	*n_wanted = rules.n;
	return error;
}

/* As ip-rule(8) writes it. */
static void describe(const struct rule *rule, char text[TEXT_SIZE])
{
	char from[64] = "", to[64] = "", table[32] = "";

	if (rule->from.length > 0)
		snprintf(from, sizeof from, " from %s", prefix_text(rule->from).s);
	if (rule->to.length > 0)
		snprintf(to, sizeof to, " to %s", prefix_text(rule->to).s);
	if (rule->action == FR_ACT_TO_TBL)
		snprintf(table, sizeof table, " lookup %u", rule->table);
	snprintf(text, TEXT_SIZE, "%u:%s%s%s", rule->priority, from, to, table);
}

static int add(struct netlink *netlink, const struct rule *rule)
{
	char text[TEXT_SIZE];
	int error = rule_add(netlink, rule);

	describe(rule, text);
	if (error < 0 && error != -EEXIST) {
		log_error("cannot add the policy rule \"%s\": %s", text, strerror(-error));
		return error;
	}
	log_info("added the policy rule \"%s\"", text);
	return 0;
}

static int remove_rule(struct netlink *netlink, const struct rule *rule)
{
	char text[TEXT_SIZE];
	int error = rule_delete(netlink, rule);

	describe(rule, text);
	if (error < 0 && error != -ENOENT) {
		log_error("cannot remove the policy rule \"%s\": %s", text, strerror(-error));
		return error;
	}
	log_info("removed the policy rule \"%s\"", text);
	return 0;
}

/* First the additions, so that no moment lacks a rule that another one replaces. */
static int change(struct netlink *netlink, const struct rule *present, size_t n_present,
	const struct rule *wanted, size_t n_wanted)
{
	int first_error = 0;

	for (size_t i = 0; i < n_wanted; i++) {
		int error = 0;

		if (!contains(present, n_present, &wanted[i]))
			error = add(netlink, &wanted[i]);
		first_error = first_error < 0 ? first_error : error;
	}
	for (size_t i = 0; i < n_present; i++) {
		int error = 0;

		if (is_ours(&present[i]) && !contains(wanted, n_wanted, &present[i]))
			error = remove_rule(netlink, &present[i]);
		first_error = first_error < 0 ? first_error : error;
	}
	return first_error;
}

/* Those that there are, and those that there should be; the caller frees both, also on failure. */
static int look(struct netlink *netlink, const struct host_config *config, struct rule **present,
	size_t *n_present, struct rule **wanted, size_t *n_wanted)
{
	int error = rule_dump(netlink, present, n_present);

	return error < 0 ? error
			 : policy_rules_wanted(config, *present, *n_present, wanted, n_wanted);
}

int policy_rules_reconcile(struct netlink *netlink, const struct host_config *config)
{
	auto_free struct rule *present = NULL;
	auto_free struct rule *wanted = NULL;
	size_t n_present, n_wanted;
	int error = look(netlink, config, &present, &n_present, &wanted, &n_wanted);

	if (error < 0) {
		log_error("cannot look at the policy rules: %s", strerror(-error));
		return error;
	}
	return change(netlink, present, n_present, wanted, n_wanted);
}

/* What one of the lists has, of ours, and the other has not. */
static int tell_missing(const struct rule *rules, size_t n, const struct rule *others,
	size_t n_others, bool is_missing, policy_rule_fn *differs, void *context)
{
	char text[TEXT_SIZE];
	int result = 0;

	for (size_t i = 0; i < n && result == 0; i++) {
		if (!is_ours(&rules[i]) || contains(others, n_others, &rules[i]))
			continue;
		describe(&rules[i], text);
		result = differs(context, text, is_missing);
	}
	return result;
}

int policy_rules_compare(struct netlink *netlink, const struct host_config *config,
	policy_rule_fn *differs, void *context)
{
	auto_free struct rule *present = NULL;
	auto_free struct rule *wanted = NULL;
	size_t n_present, n_wanted;
	int error = look(netlink, config, &present, &n_present, &wanted, &n_wanted);

	if (error == 0)
		error = tell_missing(wanted, n_wanted, present, n_present, true, differs, context);
	return error == 0
		       ? tell_missing(present, n_present, wanted, n_wanted, false, differs, context)
		       : error;
}

int policy_rules_remove(struct netlink *netlink, bool dry_run)
{
	auto_free struct rule *present = NULL;
	char text[TEXT_SIZE];
	size_t n_present;
	int n = 0;
	int error = rule_dump(netlink, &present, &n_present);

	if (error < 0) {
		log_error("cannot look at the policy rules: %s", strerror(-error));
		return error;
	}
	for (size_t i = 0; i < n_present && dry_run; i++) {
		if (!is_ours(&present[i]))
			continue;
		describe(&present[i], text);
		log_info("would remove the policy rule \"%s\"", text);
	}
	for (size_t i = 0; i < n_present; i++)
		n += is_ours(&present[i]);
	error = dry_run ? 0 : change(netlink, present, n_present, NULL, 0);
	return error < 0 ? error : n;
}
