/*
 * Where a base chain drops what nobody has decided. An accept has to stand there that overrides no
 * rule of the operator's and is overtaken by none. No input but the decoded rules: nftables' and
 * those of iptables-legacy are judged alike.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "nftables/ruleset_decode.h"

/* The rules of one table, those of a chain one after the other in their order, and its base chains
 * (chains of other tables and chains without a hook may be among them, and do not matter). */
struct ruleset_table {
	const struct ruleset_chain *chains;
	size_t n_chains;
	const struct ruleset_rule *rules;
	size_t n_rules;
};

enum ruleset_place_kind {
	RULESET_PLACE_NONE, /* the chain drops nothing that is undecided: no place is needed */
	RULESET_PLACE_FOUND,
	/* In a chain that drops by rules of its own before, and that packets of other hooks pass
	 * too: an accept in front of the jump to it overrides those rules, one inside lets in. */
	RULESET_PLACE_SHARED,
};

struct ruleset_place {
	enum ruleset_place_kind kind;
	const char *chain; /* points into the table's chains or rules */
	uint64_t before; /* the handle of a rule of the chain; 0: at its end */
};

/*
 * The place is before the first rule that, for every packet, drops, rejects, or leads to a chain
 * that does; before one that hands all packets to a policy of drop; or at the end where the policy
 * is drop. It is in a chain that is jumped to, and not in front of the jump, where that chain drops
 * some packets by rules of its own before it drops the rest. Rules that jump to the chain own do
 * not count (NULL: there are none). Returns 0 or -ENOMEM.
 */
int ruleset_find_place(const struct ruleset_table *table, const struct ruleset_chain *base,
	const char *own, struct ruleset_place *place);

/* Whether a base chain lets nothing pass that it does not accept: by its policy, or by rules that
 * drop or reject the rest. Returns 0 or -ENOMEM. */
int ruleset_is_closed(
	const struct ruleset_table *table, const struct ruleset_chain *base, bool *is_closed);

bool ruleset_is_jump_to(const struct ruleset_rule *rule, const char *chain);
size_t ruleset_count_jumps(const struct ruleset_table *table, const char *chain);

/* To walk the rules of a chain: from the index of the first one (n_rules: there is none) for as
 * long as the second says that an index is of one of them. */
size_t ruleset_first_rule(const struct ruleset_table *table, const char *chain);
bool ruleset_is_rule_of(const struct ruleset_table *table, size_t i, const char *chain);

/* Whether own is jumped to at the place, for every packet. */
bool ruleset_has_jump_at(
	const struct ruleset_table *table, const struct ruleset_place *place, const char *own);
