/*
 * Decodes what the kernel says of one chain or one rule of nftables. No state, no input but the
 * message.
 */
#include "host/ruleset_decode.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/attribute.h"

enum {
	EXPRESSION_NAME_SIZE = 32, /* longer than any there is; what is cut is none we know */
};

#define N_ELEMENTS(array) (sizeof(array) / sizeof *(array))

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

int ruleset_decode_chain(const struct nlmsghdr *message, struct ruleset_chain *chain)
{
	const struct nfgenmsg *header = message_header(message, sizeof *header);
	const struct nlattr *table[NFTA_CHAIN_POLICY + 1], *hook[NFTA_HOOK_HOOKNUM + 1];
	uint32_t number, policy;

	memset(chain, 0, sizeof *chain);
	if (!header)
		return -EBADMSG;
	attributes_of_message(message, sizeof *header, table, N_ELEMENTS(table));
	attributes_of_nest(table[NFTA_CHAIN_HOOK], hook, N_ELEMENTS(hook));
	chain->family = header->nfgen_family;
	if (!attribute_string(table[NFTA_CHAIN_TABLE], chain->table, sizeof chain->table) ||
		!attribute_string(table[NFTA_CHAIN_NAME], chain->name, sizeof chain->name))
		return -EBADMSG;
	chain->is_base = attribute_u32(hook[NFTA_HOOK_HOOKNUM], &number);
	if (chain->is_base)
		chain->hook = ntohl(number);
	chain->policy_drop =
		attribute_u32(table[NFTA_CHAIN_POLICY], &policy) && ntohl(policy) == NF_DROP;
	return 0;
}

/* A verdict that stands in the rule itself. Other immediate data is for a later expression. */
static void decode_immediate(const struct nlattr *data, struct ruleset_rule *rule)
{
	const struct nlattr *immediate[NFTA_IMMEDIATE_DATA + 1], *value[NFTA_DATA_VERDICT + 1],
		*verdict[NFTA_VERDICT_CHAIN + 1];
	uint32_t code;

	attributes_of_nest(data, immediate, N_ELEMENTS(immediate));
	attributes_of_nest(immediate[NFTA_IMMEDIATE_DATA], value, N_ELEMENTS(value));
	attributes_of_nest(value[NFTA_DATA_VERDICT], verdict, N_ELEMENTS(verdict));
	if (!attribute_u32(verdict[NFTA_VERDICT_CODE], &code))
		return;
	switch ((int32_t)ntohl(code)) {
	case NF_DROP:
		rule->verdict = RULESET_STOP;
		break;
	case NFT_JUMP:
	case NFT_GOTO:
		if (attribute_string(
			    verdict[NFTA_VERDICT_CHAIN], rule->target, sizeof rule->target))
			rule->verdict = RULESET_JUMP;
		break;
	default:
		break;
	}
}

/* A target of xtables', as iptables-nft keeps them. Returns whether the rule's verdict may depend
 * on it. */
static bool decode_target(const struct nlattr *data, struct ruleset_rule *rule)
{
	static const char *const stopping[] = {"DROP", "REJECT"};
	static const char passing[] = "LOG";
	const struct nlattr *target[NFTA_TARGET_NAME + 1];
	char name[EXPRESSION_NAME_SIZE];

	attributes_of_nest(data, target, N_ELEMENTS(target));
	attribute_string(target[NFTA_TARGET_NAME], name, sizeof name);
	if (is_one_of(name, stopping, N_ELEMENTS(stopping)))
		rule->verdict = RULESET_STOP;
	else if (strcmp(name, passing) != 0)
		return true;
	return false;
}

/* Returns whether the expression can keep a packet from what follows it. */
static bool decode_expression(const struct nlattr *nest, struct ruleset_rule *rule)
{
	static const char *const passing[] = {"counter", "log", "notrack"};
	const struct nlattr *expression[NFTA_EXPR_DATA + 1];
	char name[EXPRESSION_NAME_SIZE];

	attributes_of_nest(nest, expression, N_ELEMENTS(expression));
	attribute_string(expression[NFTA_EXPR_NAME], name, sizeof name);
	if (strcmp(name, "target") == 0)
		return decode_target(expression[NFTA_EXPR_DATA], rule);
	if (strcmp(name, "immediate") == 0)
		decode_immediate(expression[NFTA_EXPR_DATA], rule);
	else if (strcmp(name, "reject") == 0)
		rule->verdict = RULESET_STOP;
	else
		return !is_one_of(name, passing, N_ELEMENTS(passing));
	return false;
}

int ruleset_decode_rule(const struct nlmsghdr *message, struct ruleset_rule *rule)
{
	const struct nlattr *table[NFTA_RULE_EXPRESSIONS + 1], *expression;
	bool is_conditional = false;
	uint64_t handle;

	memset(rule, 0, sizeof *rule);
	attributes_of_message(message, sizeof(struct nfgenmsg), table, N_ELEMENTS(table));
	if (!attribute_u64(table[NFTA_RULE_HANDLE], &handle))
		return -EBADMSG;
	rule->handle = be64toh(handle);
	expression = attribute_next(table[NFTA_RULE_EXPRESSIONS], NULL);
	for (; expression; expression = attribute_next(table[NFTA_RULE_EXPRESSIONS], expression))
		if (decode_expression(expression, rule))
			is_conditional = true;
	if (is_conditional)
		rule->verdict = RULESET_OTHER;
	return 0;
}
