/*
 * Parses what iptables-save printed of the filter table. The text is a program's that root runs: a
 * line that is not understood is a rule with a condition and an unknown verdict. No state.
 */
#include "host/legacy_ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>

#include "host/iptables.h"

/* What the callback for each line works on. */
struct parser {
	struct legacy_ruleset *ruleset;
	int error;
};

/* A word is up to the next space, or in double quotes with backslashes, as iptables-save quotes. */
static const char *skip_word(const char *text)
{
	if (*text == '"') {
		for (text++; *text && *text != '"'; text++)
			if (*text == '\\' && text[1])
				text++;
		text += *text == '"';
	}
	text += strcspn(text, " ");
	return text + strspn(text, " ");
}

static void copy_word(char copy[RULESET_NAME_SIZE], const char *text)
{
	size_t length = strcspn(text, " ");

	if (length > RULESET_NAME_SIZE - 1)
		length = RULESET_NAME_SIZE - 1;
	memcpy(copy, text, length);
	copy[length] = '\0';
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* One more element for an array; NULL if there is no memory, and the array stays. */
static void *append(void *array, size_t n, size_t size)
{
	return (n & (n - 1)) == 0 ? realloc(array, (n > 0 ? 2 * n : 1) * size) : array;
}

static void set_hook(struct ruleset_chain *chain)
{
	static const struct {
		const char *name;
		uint32_t hook;
	} hooks[] = {
		{"INPUT", NF_INET_LOCAL_IN},
		{"FORWARD", NF_INET_FORWARD},
		{"OUTPUT", NF_INET_LOCAL_OUT},
	};

	for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
		if (strcmp(chain->name, hooks[i].name) == 0) {
			chain->is_base = true;
			chain->hook = hooks[i].hook;
		}
}

/* ":FORWARD DROP [0:0]" */
static int parse_chain(struct legacy_ruleset *ruleset, const char *line)
{
	struct ruleset_table *table = &ruleset->table;
	struct ruleset_chain *chains = append(ruleset->chains, table->n_chains, sizeof *chains);
	struct ruleset_chain *chain;

	if (!chains)
		return -ENOMEM;
	table->chains = ruleset->chains = chains;
	chain = &chains[table->n_chains++];
	*chain = (struct ruleset_chain){.family = NFPROTO_IPV4, .table = "filter"};
	copy_word(chain->name, line);
	chain->policy_drop = begins(skip_word(line), "DROP ");
	set_hook(chain);
	return 0;
}

static void parse_verdict(
	const struct legacy_ruleset *ruleset, const char *name, struct ruleset_rule *rule)
{
	copy_word(rule->target, name);
	if (legacy_ruleset_chain(ruleset, rule->target))
		rule->verdict = RULESET_JUMP;
	else if (strcmp(rule->target, "ACCEPT") == 0)
		rule->verdict = RULESET_ACCEPT;
	else if (strcmp(rule->target, "RETURN") == 0)
		rule->verdict = RULESET_RETURN;
	else
		rule->verdict = ruleset_target_verdict(rule->target);
}

/* What stands behind "-A CHAIN ". A comment is no condition. What follows the target is the
 * target's. */
static void parse_parts(
	const struct legacy_ruleset *ruleset, const char *text, struct ruleset_rule *rule)
{
	while (*text) {
		if (begins(text, "-j ") || begins(text, "-g ")) {
			parse_verdict(ruleset, text + 3, rule);
			if (text[1] == 'g')
				rule->verdict = RULESET_GOTO;
			return;
		}
		if (begins(text, "-m comment ")) {
			text = skip_word(skip_word(text));
		} else if (begins(text, "--comment ")) {
			text = skip_word(skip_word(text));
		} else {
			rule->is_conditional = true;
			text = skip_word(text);
		}
	}
}

/* Rules of one chain stand one after the other. */
static uint64_t number_of_next(const struct ruleset_table *table, const char *chain)
{
	const struct ruleset_rule *last;

	if (table->n_rules == 0)
		return 1;
	last = &table->rules[table->n_rules - 1];
	return strcmp(last->chain, chain) == 0 ? last->handle + 1 : 1;
}

static int parse_rule(struct legacy_ruleset *ruleset, const char *text)
{
	struct ruleset_table *table = &ruleset->table;
	struct ruleset_rule *rules = append(ruleset->rules, table->n_rules, sizeof *rules);
	struct ruleset_rule *rule;

	if (!rules)
		return -ENOMEM;
	table->rules = ruleset->rules = rules;
	rule = &rules[table->n_rules];
	*rule = (struct ruleset_rule){.verdict = RULESET_NONE};
	copy_word(rule->chain, text);
	rule->handle = number_of_next(table, rule->chain);
	table->n_rules++;
	parse_parts(ruleset, skip_word(text), rule);
	return 0;
}

static void parse_line(void *context, const char *table, const char *line)
{
	struct parser *parser = context;

	if (parser->error < 0 || strcmp(table, "filter") != 0)
		return;
	if (*line == ':')
		parser->error = parse_chain(parser->ruleset, line + 1);
	else if (begins(line, "-A "))
		parser->error = parse_rule(parser->ruleset, line + 3);
}

int legacy_ruleset_parse(const char *saved, struct legacy_ruleset *ruleset)
{
	struct parser parser = {.ruleset = ruleset};
	int error;

	*ruleset = (struct legacy_ruleset){0};
	error = iptables_walk(saved, parse_line, &parser);
	return error < 0 ? error : parser.error;
}

void legacy_ruleset_free(struct legacy_ruleset *ruleset)
{
	free(ruleset->chains);
	free(ruleset->rules);
}

const struct ruleset_chain *legacy_ruleset_chain(
	const struct legacy_ruleset *ruleset, const char *name)
{
	for (size_t i = 0; i < ruleset->table.n_chains; i++)
		if (strcmp(ruleset->chains[i].name, name) == 0)
			return &ruleset->chains[i];
	return NULL;
}
