/*
 * Decodes what the kernel says of one chain or one rule of nftables. No state, no input but the
 * message.
 */
#include "nftables/ruleset_decode.h"

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

static void decode_verdict(const struct nlattr *const *verdict, struct ruleset_rule *rule)
{
	uint32_t code;

	if (!attribute_u32(verdict[NFTA_VERDICT_CODE], &code))
		return;
	switch ((int32_t)ntohl(code)) {
	case NF_ACCEPT:
		rule->verdict = RULESET_ACCEPT;
		break;
	case NF_DROP:
		rule->verdict = RULESET_STOP;
		break;
	case NFT_RETURN:
		rule->verdict = RULESET_RETURN;
		break;
	case NFT_JUMP:
		rule->verdict = RULESET_JUMP;
		break;
	case NFT_GOTO:
		rule->verdict = RULESET_GOTO;
		break;
	default:
		break;
	}
	attribute_string(verdict[NFTA_VERDICT_CHAIN], rule->target, sizeof rule->target);
}

/* A verdict that stands in the rule itself. Other immediate data is for a later expression. */
static void decode_immediate(const struct nlattr *data, struct ruleset_rule *rule)
{
	const struct nlattr *immediate[NFTA_IMMEDIATE_DATA + 1], *value[NFTA_DATA_VERDICT + 1],
		*verdict[NFTA_VERDICT_CHAIN + 1];

	attributes_of_nest(data, immediate, N_ELEMENTS(immediate));
	attributes_of_nest(immediate[NFTA_IMMEDIATE_DATA], value, N_ELEMENTS(value));
	attributes_of_nest(value[NFTA_DATA_VERDICT], verdict, N_ELEMENTS(verdict));
	decode_verdict(verdict, rule);
}

enum ruleset_verdict ruleset_target_verdict(const char *name)
{
	/* They return XT_CONTINUE for every packet: net/netfilter/xt_*.c. */
	static const char *const passing[] = {"AUDIT", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT",
		"DSCP", "ECN", "HMARK", "IDLETIMER", "LED", "LOG", "MARK", "NFLOG", "NOTRACK",
		"RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL"};
	static const char *const stopping[] = {"DROP", "REJECT"};

	if (is_one_of(name, stopping, N_ELEMENTS(stopping)))
		return RULESET_STOP;
	return is_one_of(name, passing, N_ELEMENTS(passing)) ? RULESET_NONE : RULESET_UNKNOWN;
}

/* A target of xtables', as iptables-nft keeps them. */
static void decode_target(const struct nlattr *data, struct ruleset_rule *rule)
{
	const struct nlattr *target[NFTA_TARGET_NAME + 1];
	char name[EXPRESSION_NAME_SIZE];

	attributes_of_nest(data, target, N_ELEMENTS(target));
	attribute_string(target[NFTA_TARGET_NAME], name, sizeof name);
	rule->verdict = ruleset_target_verdict(name);
}

/* A match of xtables': all but a comment may keep a packet from the verdict. */
static void decode_match(const struct nlattr *data, struct ruleset_rule *rule)
{
	const struct nlattr *match[NFTA_MATCH_NAME + 1];
	char name[EXPRESSION_NAME_SIZE];

	attributes_of_nest(data, match, N_ELEMENTS(match));
	attribute_string(match[NFTA_MATCH_NAME], name, sizeof name);
	if (strcmp(name, "comment") != 0)
		rule->is_conditional = true;
}

/* A lookup in a set is a condition. One in a map of verdicts decides too, for what is in it. */
static void decode_lookup(const struct nlattr *data, struct ruleset_rule *rule)
{
	const struct nlattr *lookup[NFTA_LOOKUP_DREG + 1];
	uint32_t reg;

	rule->is_conditional = true;
	attributes_of_nest(data, lookup, N_ELEMENTS(lookup));
	if (attribute_u32(lookup[NFTA_LOOKUP_DREG], &reg) && ntohl(reg) == NFT_REG_VERDICT)
		rule->verdict = RULESET_UNKNOWN;
}

static void decode_expression(const struct nlattr *nest, struct ruleset_rule *rule)
{
	static const char *const passing[] = {"counter", "last", "log", "notrack"};
	const struct nlattr *expression[NFTA_EXPR_DATA + 1];
	const struct nlattr *data;
	char name[EXPRESSION_NAME_SIZE];

	attributes_of_nest(nest, expression, N_ELEMENTS(expression));
	attribute_string(expression[NFTA_EXPR_NAME], name, sizeof name);
	data = expression[NFTA_EXPR_DATA];
	if (strcmp(name, "target") == 0)
		decode_target(data, rule);
	else if (strcmp(name, "match") == 0)
		decode_match(data, rule);
	else if (strcmp(name, "immediate") == 0)
		decode_immediate(data, rule);
	else if (strcmp(name, "lookup") == 0)
		decode_lookup(data, rule);
	else if (strcmp(name, "reject") == 0)
		rule->verdict = RULESET_STOP;
	else if (strcmp(name, "queue") == 0)
		rule->verdict = RULESET_UNKNOWN;
	else if (!is_one_of(name, passing, N_ELEMENTS(passing)))
		rule->is_conditional = true;
}

int ruleset_decode_rule(const struct nlmsghdr *message, struct ruleset_rule *rule)
{
	const struct nlattr *table[NFTA_RULE_EXPRESSIONS + 1], *expression;
	uint64_t handle;

	memset(rule, 0, sizeof *rule);
	attributes_of_message(message, sizeof(struct nfgenmsg), table, N_ELEMENTS(table));
	if (!attribute_u64(table[NFTA_RULE_HANDLE], &handle) ||
		!attribute_string(table[NFTA_RULE_CHAIN], rule->chain, sizeof rule->chain))
		return -EBADMSG;
	rule->handle = be64toh(handle);
	expression = attribute_next(table[NFTA_RULE_EXPRESSIONS], NULL);
	for (; expression; expression = attribute_next(table[NFTA_RULE_EXPRESSIONS], expression))
		decode_expression(expression, rule);
	return 0;
}
