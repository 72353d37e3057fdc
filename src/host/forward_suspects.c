/*
 * Lists the rules of other programs that may drop forwarded packets of tunnels. The broker's
 * thread, once such packets were seen to be dropped.
 */
#include "host/forward_suspects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/netfilter.h>

#include "base/cleanup.h"
#include "host/firewall.h"
#include "host/foreign_commands.h"
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

static void add_rule(void *context, const struct ruleset_rule *rule)
{
	struct list *list = context;
	unsigned long long number = rule->handle;

	if (list->n++ >= MAX_NAMED)
		return;
	if (list->n > 1)
		fputs(", ", list->out);
	if (list->base)
		fprintf(list->out,
			"the rule with handle %llu of the chain \"%s\" of the nftables table %s %s",
			number, rule->chain, ruleset_family_name(list->base->family),
			list->base->table);
	else
		fprintf(list->out, "rule %llu of the chain \"%s\" of iptables-legacy", number,
			rule->chain);
}

static bool is_foreign_forward(const struct ruleset_chain *chain)
{
	return firewall_is_foreign(chain) && chain->is_base && chain->hook == NF_INET_FORWARD;
}

static int add_chain(struct list *list, const struct ruleset_chain *chain)
{
	auto_free struct ruleset_rule *rules = NULL;
	struct ruleset_table table = {.chains = chain, .n_chains = 1};
	int error = ruleset_rules(chain->family, chain->table, &rules, &table.n_rules);

	table.rules = rules;
	list->base = chain;
	return error < 0 ? error : ruleset_each_drop(&table, chain, FOREIGN_CHAIN, add_rule, list);
}

static int add_nftables(struct list *list)
{
	auto_free struct ruleset_chain *chains = NULL;
	size_t n;
	int error = ruleset_chains(is_foreign_forward, &chains, &n);

	for (size_t i = 0; error == 0 && i < n; i++)
		error = add_chain(list, &chains[i]);
	return error;
}

static int add_legacy(struct list *list, const char *saved)
{
	struct legacy_ruleset ruleset;
	int error = legacy_ruleset_parse(saved, &ruleset);
	const struct ruleset_chain *forward = legacy_ruleset_chain(&ruleset, "FORWARD");

	list->base = NULL;
	if (error == 0 && forward)
		error = ruleset_each_drop(&ruleset.table, forward, FOREIGN_CHAIN, add_rule, list);
	legacy_ruleset_free(&ruleset);
	return error;
}

char *forward_suspects(const char *legacy)
{
	char *text = NULL;
	size_t length = 0;
	struct list list = {.out = open_memstream(&text, &length)};
	int error = list.out ? add_nftables(&list) : -ENOMEM;

	if (error == 0 && legacy)
		error = add_legacy(&list, legacy);
	if (error == 0 && list.n > MAX_NAMED)
		fprintf(list.out, ", and %zu more", list.n - MAX_NAMED);
	if (list.out && fclose(list.out) == 0 && error == 0)
		return text;
	free(text);
	return NULL;
}
