/*
 * The rules of others that may drop what tunnels send: by a condition, which is theirs to set and
 * is not interpreted here. No input but the decoded rules.
 */
#pragma once

#include "host/ruleset_place.h"

/* A rule on the way of a forwarded packet that drops or rejects by a condition, or decides by a map
 * or a target that is not known. */
typedef void ruleset_drop_fn(void *context, const struct ruleset_rule *rule);

/*
 * Calls back for each such rule that a packet of a tunnel can meet behind the base chain: in the
 * order in which it would, up to a jump to the chain own, which accepts it. Returns 0 or -ENOMEM.
 */
int ruleset_each_drop(const struct ruleset_table *table, const struct ruleset_chain *base,
	const char *own, ruleset_drop_fn *found, void *context);
