/*
 * Lists the rules of other programs that may drop packets of tunnels. The broker's thread, once
 * packets were seen to be dropped; and `vprox check SERVER`, where a tunnel does not come up.
 */
#include "host/suspects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "host/firewall.h"
#include "host/foreign_commands.h"
#include "host/iptables.h"
#include "host/legacy_ruleset.h"
#include "nftables/ruleset.h"
#include "host/ruleset_drops.h"

enum {
	MAX_NAMED = 4, /* rules; whoever has more looks for himself */
};

struct list {
	FILE *out;
	const struct ruleset_chain
		*base; /* whose rules are listed; NULL: those of iptables-legacy */
	size_t n;
};

static const char client_tables[] =
	"vprox-"; /* own_table.h of the client's, whose drops are meant */

static bool is_named(struct list *list)
{
	if (list->n++ >= MAX_NAMED)
		return false;
	if (list->n > 1)
		fputs(", ", list->out);
	return true;
}

static void write_chain(struct list *list, const char *chain)
{
	if (list->base)
		fprintf(list->out, "the chain \"%s\" of the nftables table %s %s", chain,
			ruleset_family_name(list->base->family), list->base->table);
	else
		fprintf(list->out, "the chain \"%s\" of iptables-legacy", chain);
}

static void add_rule(void *context, const struct ruleset_rule *rule)
{
	struct list *list = context;

	if (!is_named(list))
		return;
	fprintf(list->out, list->base ? "the rule with handle %llu of " : "rule %llu of ",
		(unsigned long long)rule->handle);
	write_chain(list, rule->chain);
}

static void add_policy(struct list *list, const struct ruleset_chain *chain)
{
	if (!chain->policy_drop || !is_named(list))
		return;
	fputs("the policy of ", list->out);
	write_chain(list, chain->name);
}

static bool is_foreign_forward(const struct ruleset_chain *chain)
{
	return firewall_is_foreign(chain) && chain->is_base && chain->hook == NF_INET_FORWARD;
}

static bool is_foreign_input(const struct ruleset_chain *chain)
{
	return firewall_is_foreign(chain) && chain->is_base && chain->hook == NF_INET_LOCAL_IN &&
	       strncmp(chain->table, client_tables, sizeof client_tables - 1) != 0;
}

static int add_chain(struct list *list, const struct ruleset_chain *chain)
{
	auto_free struct ruleset_rule *rules = NULL;
	struct ruleset_table table = {.chains = chain, .n_chains = 1};
	int error = ruleset_rules(chain->family, chain->table, &rules, &table.n_rules);

	table.rules = rules;
	list->base = chain;
	if (error == 0 && chain->hook == NF_INET_LOCAL_IN)
		add_policy(list, chain);
	return error < 0 ? error : ruleset_each_drop(&table, chain, FOREIGN_CHAIN, add_rule, list);
}

static int add_nftables(struct list *list, ruleset_chain_filter *wanted)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int error = ruleset_chains(wanted, &chains, &n);

	for (size_t i = 0; error == 0 && i < n; i++)
		error = add_chain(list, &chains[i]);
	return error;
}

static int add_legacy(struct list *list, const char *saved, const char *name)
{
	struct legacy_ruleset ruleset;
	int error = legacy_ruleset_parse(saved, &ruleset);
	const struct ruleset_chain *chain = legacy_ruleset_chain(&ruleset, name);

	list->base = NULL;
	if (error == 0 && chain && chain->hook == NF_INET_LOCAL_IN)
		add_policy(list, chain);
	if (error == 0 && chain)
		error = ruleset_each_drop(&ruleset.table, chain, FOREIGN_CHAIN, add_rule, list);
	legacy_ruleset_free(&ruleset);
	return error;
}

static char *suspects(ruleset_chain_filter *wanted, const char *legacy, const char *legacy_chain)
{
	char *text = NULL;
	size_t length = 0;
	struct list list = {.out = open_memstream(&text, &length)};
	int error = list.out ? add_nftables(&list, wanted) : -ENOMEM;

	if (error == 0 && legacy)
		error = add_legacy(&list, legacy, legacy_chain);
	if (error == 0 && list.n > MAX_NAMED)
		fprintf(list.out, ", and %zu more", list.n - MAX_NAMED);
	if (list.out && fclose(list.out) == 0 && error == 0)
		return text;
	free(text);
	return NULL;
}

char *forward_suspects(const char *legacy)
{
	return suspects(is_foreign_forward, legacy, "FORWARD");
}

char *input_suspects(void)
{
	auto_free char *legacy = NULL;
	struct run_error error;

	/* what cannot be read is not named */
	if (iptables_in_use(IPTABLES_LEGACY) && iptables_save(IPTABLES_LEGACY, &legacy, &error) < 0)
		legacy = NULL;
	return suspects(is_foreign_input, legacy, "INPUT");
}
