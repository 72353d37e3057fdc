/*
 * Walks the rules of a table as a packet does that no condition matches. No state, no system calls;
 * the broker's thread.
 */
#include "host/ruleset_place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* What becomes of a packet that no condition matches. */
enum outcome {
	PASSES, /* it gets to the chain's end, or returns */
	IS_ACCEPTED,
	IS_DROPPED,
};

struct walk {
	enum outcome outcome;
	struct ruleset_place place; /* where it is dropped, or gets out of the chain */
	bool drops_some; /* before that, those that a condition matches */
};

/* Chains are marked by the index of their first rule, as seen: each is walked once, also if
 * somebody has made a loop of them since the kernel refused it. */
struct walker {
	const struct ruleset_table *table;
	const char *own;
	bool *walked;
	bool *searched;
};

/* Looks for a chain, or for any rule that may drop. */
struct search {
	const struct walker *walker;
	const char *wanted; /* NULL: a rule that may drop */
};

bool ruleset_is_jump_to(const struct ruleset_rule *rule, const char *chain)
{
	return chain && (rule->verdict == RULESET_JUMP || rule->verdict == RULESET_GOTO) &&
	       strcmp(rule->target, chain) == 0;
}

size_t ruleset_count_jumps(const struct ruleset_table *table, const char *chain)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n_rules; i++)
		n += ruleset_is_jump_to(&table->rules[i], chain);
	return n;
}

size_t ruleset_first_rule(const struct ruleset_table *table, const char *chain)
{
	size_t i = 0;

	while (i < table->n_rules && strcmp(table->rules[i].chain, chain) != 0)
		i++;
	return i;
}

bool ruleset_is_rule_of(const struct ruleset_table *table, size_t i, const char *chain)
{
	return i < table->n_rules && strcmp(table->rules[i].chain, chain) == 0;
}

static bool search_chain(const struct search *search, const char *chain);

static bool search_rule(const struct search *search, const struct ruleset_rule *rule)
{
	switch (rule->verdict) {
	case RULESET_STOP:
		return !search->wanted;
	case RULESET_UNKNOWN:
		return true;
	case RULESET_JUMP:
	case RULESET_GOTO:
		return !ruleset_is_jump_to(rule, search->walker->own) &&
		       search_chain(search, rule->target);
	default:
		return false;
	}
}

static bool search_chain(const struct search *search, const char *chain)
{
	const struct ruleset_table *table = search->walker->table;
	size_t i = ruleset_first_rule(table, chain);

	if (search->wanted && strcmp(chain, search->wanted) == 0)
		return true;
	if (i == table->n_rules || search->walker->searched[i])
		return false;
	search->walker->searched[i] = true;
	for (; ruleset_is_rule_of(table, i, chain); i++)
		if (search_rule(search, &table->rules[i]))
			return true;
	return false;
}

static void begin_search(const struct walker *walker)
{
	memset(walker->searched, 0, walker->table->n_rules * sizeof *walker->searched);
}

static bool may_drop(const struct walker *walker, const struct ruleset_rule *rule)
{
	const struct search search = {walker, NULL};

	begin_search(walker);
	return search_rule(&search, rule);
}

static struct walk walk_chain(struct walker *walker, const char *chain);

/* A chain that was walked before has let the packet pass, and what it drops is gone. */
static bool is_walked(const struct walker *walker, const char *chain)
{
	size_t i = ruleset_first_rule(walker->table, chain);

	return i < walker->table->n_rules && walker->walked[i];
}

/* These return whether a packet that no condition matches gets no further than the rule. */
static bool walk_jump(struct walker *walker, const struct ruleset_rule *rule, struct walk *walk)
{
	struct walk inner = {.outcome = PASSES};

	if (!is_walked(walker, rule->target))
		inner = walk_chain(walker, rule->target);
	if (inner.drops_some)
		walk->place = inner.place;
	walk->drops_some = walk->drops_some || inner.drops_some;
	walk->outcome = inner.outcome;
	return rule->verdict == RULESET_GOTO || inner.outcome != PASSES;
}

static bool walk_rule(struct walker *walker, const struct ruleset_rule *rule, struct walk *walk)
{
	if (ruleset_is_jump_to(rule, walker->own))
		return false;
	if (rule->is_conditional) {
		walk->drops_some = walk->drops_some || may_drop(walker, rule);
		return false;
	}
	walk->place = (struct ruleset_place){.chain = rule->chain, .before = rule->handle};
	switch (rule->verdict) {
	case RULESET_STOP:
		walk->outcome = IS_DROPPED;
		return true;
	case RULESET_ACCEPT:
	case RULESET_UNKNOWN:
		walk->outcome = IS_ACCEPTED;
		return true;
	case RULESET_RETURN:
		return true;
	case RULESET_JUMP:
	case RULESET_GOTO:
		return walk_jump(walker, rule, walk);
	default:
		return false;
	}
}

static struct walk walk_chain(struct walker *walker, const char *chain)
{
	const struct ruleset_table *table = walker->table;
	struct walk walk = {.outcome = PASSES};
	size_t i = ruleset_first_rule(table, chain);

	if (i < table->n_rules)
		walker->walked[i] = true;
	for (; ruleset_is_rule_of(table, i, chain); i++)
		if (walk_rule(walker, &table->rules[i], &walk))
			return walk;
	walk.place = (struct ruleset_place){.chain = chain};
	return walk;
}

/* Whether packets get to the chain that are not forwarded. */
static bool is_shared(
	const struct walker *walker, const struct ruleset_chain *base, const char *chain)
{
	const struct ruleset_table *table = walker->table;
	const struct search search = {walker, chain};

	begin_search(walker);
	for (size_t i = 0; i < table->n_chains; i++) {
		const struct ruleset_chain *other = &table->chains[i];

		if (other->is_base && other->hook != base->hook && other->family == base->family &&
			strcmp(other->table, base->table) == 0 &&
			search_chain(&search, other->name))
			return true;
	}
	return false;
}

static enum ruleset_place_kind judge(
	const struct walker *walker, const struct ruleset_chain *base, const struct walk *walk)
{
	if (walk->outcome == IS_ACCEPTED || (walk->outcome == PASSES && !base->policy_drop))
		return RULESET_PLACE_NONE;
	if (strcmp(walk->place.chain, base->name) != 0 &&
		is_shared(walker, base, walk->place.chain))
		return RULESET_PLACE_SHARED;
	return RULESET_PLACE_FOUND;
}

int ruleset_find_place(const struct ruleset_table *table, const struct ruleset_chain *base,
	const char *own, struct ruleset_place *place)
{
	auto_free bool *walked = calloc(table->n_rules + 1, sizeof *walked);
	auto_free bool *searched = calloc(table->n_rules + 1, sizeof *searched);
	struct walker walker = {table, own, walked, searched};
	struct walk walk;

	if (!walked || !searched)
		return -ENOMEM;
	walk = walk_chain(&walker, base->name);
	*place = walk.place;
	place->kind = judge(&walker, base, &walk);
	return 0;
}

int ruleset_is_closed(
	const struct ruleset_table *table, const struct ruleset_chain *base, bool *is_closed)
{
	struct ruleset_place place;
	int error = ruleset_find_place(table, base, NULL, &place);

	*is_closed = error == 0 && place.kind != RULESET_PLACE_NONE;
	return error;
}

/* The rule that stands behind rules[i], but for jumps to own: its handle, 0 if i is the last. */
static uint64_t handle_behind(const struct ruleset_table *table, size_t i, const char *own)
{
	const char *chain = table->rules[i].chain;

	for (i++; ruleset_is_rule_of(table, i, chain); i++)
		if (!ruleset_is_jump_to(&table->rules[i], own))
			return table->rules[i].handle;
	return 0;
}

bool ruleset_has_jump_at(
	const struct ruleset_table *table, const struct ruleset_place *place, const char *own)
{
	for (size_t i = 0; i < table->n_rules; i++) {
		const struct ruleset_rule *rule = &table->rules[i];

		if (ruleset_is_jump_to(rule, own) && rule->verdict == RULESET_JUMP &&
			!rule->is_conditional && strcmp(rule->chain, place->chain) == 0 &&
			handle_behind(table, i, own) == place->before)
			return true;
	}
	return false;
}
