/* The filter table of iptables-legacy as iptables-save prints it, in the same shape as nftables'
 * rules: handles are the rules' numbers in their chains. Pure. */
#pragma once

#include <stddef.h>

#include "host/ruleset_place.h"

struct legacy_ruleset {
	struct ruleset_table table; /* of the two below */
	struct ruleset_chain *chains; /* all, also those without a hook */
	struct ruleset_rule *rules;
};

/* From the text of iptables-save; a table that is not there has no chains. Returns 0 or -ENOMEM; to
 * be freed by legacy_ruleset_free() in any case. */
int legacy_ruleset_parse(const char *saved, struct legacy_ruleset *ruleset);
void legacy_ruleset_free(struct legacy_ruleset *ruleset);

/* A chain by its name, NULL if it is not there. */
const struct ruleset_chain *legacy_ruleset_chain(
	const struct legacy_ruleset *ruleset, const char *name);
