/*
 * Walks the rules of a table as a packet does that a condition may match or not. No state, no
 * system calls; the broker's thread.
 */
#include "host/ruleset_drops.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct drop_walk {
	const struct ruleset_table *table;
	const char *own;
	ruleset_drop_fn *found;
	void *context;
	bool *walked; /* by the index of a chain's first rule */
};

static bool walk_chain(struct drop_walk *walk, const char *chain);

/* What a rule does with every packet of a tunnel that gets to it; both return whether none gets any
 * further: not in this chain, and not in those that have led here. */
static bool walk_jump(struct drop_walk *walk, const struct ruleset_rule *rule)
{
	bool ends = ruleset_is_jump_to(rule, walk->own) || walk_chain(walk, rule->target);

	return ends && !rule->is_conditional;
}

static bool walk_rule(struct drop_walk *walk, const struct ruleset_rule *rule)
{
	switch (rule->verdict) {
	case RULESET_JUMP:
	case RULESET_GOTO:
		return walk_jump(walk, rule);
	case RULESET_STOP:
	case RULESET_UNKNOWN:
		walk->found(walk->context, rule);
		return !rule->is_conditional && rule->verdict == RULESET_STOP;
	case RULESET_ACCEPT:
		return !rule->is_conditional;
	default:
		return false;
	}
}

static bool leaves_chain(const struct ruleset_rule *rule)
{
	return !rule->is_conditional &&
	       (rule->verdict == RULESET_RETURN || rule->verdict == RULESET_GOTO);
}

static bool walk_chain(struct drop_walk *walk, const char *chain)
{
	const struct ruleset_table *table = walk->table;
	size_t i = ruleset_first_rule(table, chain);

	if (i == table->n_rules || walk->walked[i])
		return false;
	walk->walked[i] = true;
	for (; ruleset_is_rule_of(table, i, chain); i++) {
		if (walk_rule(walk, &table->rules[i]))
			return true;
		if (leaves_chain(&table->rules[i]))
			return false;
	}
	return false;
}

int ruleset_each_drop(const struct ruleset_table *table, const struct ruleset_chain *base,
	const char *own, ruleset_drop_fn *found, void *context)
{
	auto_free bool *walked = calloc(table->n_rules + 1, sizeof *walked);
	struct drop_walk walk = {table, own, found, context, walked};

	if (!walked)
		return -ENOMEM;
	walk_chain(&walk, base->name);
	return 0;
}
