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

/* Returns its data; NULL if it has none. */
static const struct nlattr *open_expression(
	const struct nlattr *nest, char name[EXPRESSION_NAME_SIZE])
{
	const struct nlattr *expression[NFTA_EXPR_DATA + 1];

	attributes_of_nest(nest, expression, N_ELEMENTS(expression));
	attribute_string(expression[NFTA_EXPR_NAME], name, EXPRESSION_NAME_SIZE);
	return expression[NFTA_EXPR_DATA];
}

static void decode_expression(const struct nlattr *nest, struct ruleset_rule *rule)
{
	static const char *const passing[] = {"counter", "last", "log", "notrack"};
	char name[EXPRESSION_NAME_SIZE];
	const struct nlattr *data = open_expression(nest, name);

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

/* Which name goes into the register. */
static bool decode_meta(
	const struct nlattr *data, struct ruleset_interface *interface, uint32_t *reg)
{
	const struct nlattr *meta[NFTA_META_KEY + 1];
	uint32_t key;

	attributes_of_nest(data, meta, N_ELEMENTS(meta));
	if (!attribute_u32(meta[NFTA_META_KEY], &key) || !attribute_u32(meta[NFTA_META_DREG], reg))
		return false;
	switch (ntohl(key)) {
	case NFT_META_IIFNAME:
		interface->key = RULESET_IIFNAME;
		return true;
	case NFT_META_OIFNAME:
		interface->key = RULESET_OIFNAME;
		return true;
	default:
		return false;
	}
}

/* That the register has this name; one that is compared without its final NUL is a prefix. */
static bool decode_comparison(
	const struct nlattr *data, uint32_t reg, struct ruleset_interface *interface)
{
	const struct nlattr *cmp[NFTA_CMP_DATA + 1], *value[NFTA_DATA_VALUE + 1];
	char bytes[RULESET_INTERFACE_SIZE];
	uint32_t source, operation;

	attributes_of_nest(data, cmp, N_ELEMENTS(cmp));
	attributes_of_nest(cmp[NFTA_CMP_DATA], value, N_ELEMENTS(value));
	if (!attribute_u32(cmp[NFTA_CMP_SREG], &source) || source != reg ||
		!attribute_u32(cmp[NFTA_CMP_OP], &operation) || ntohl(operation) != NFT_CMP_EQ ||
		!attribute_string(value[NFTA_DATA_VALUE], interface->name, sizeof interface->name))
		return false;
	interface->is_prefix =
		!attribute_bytes(value[NFTA_DATA_VALUE], bytes, strlen(interface->name) + 1);
	return true;
}

/* As nft and iptables-nft write it, with a counter or without. */
static bool decode_interface(const struct nlattr *expressions, struct ruleset_interface *interface)
{
	static const char *const names[] = {"meta", "cmp", "immediate"};
	const struct nlattr *data[N_ELEMENTS(names)], *expression = NULL;
	uint32_t reg;
	size_t n = 0;

	while ((expression = attribute_next(expressions, expression))) {
		char name[EXPRESSION_NAME_SIZE];
		const struct nlattr *its = open_expression(expression, name);

		if (strcmp(name, "counter") == 0)
			continue;
		if (n == N_ELEMENTS(names) || strcmp(name, names[n]) != 0)
			return false;
		data[n++] = its;
	}
	return n == N_ELEMENTS(names) && decode_meta(data[0], interface, &reg) &&
	       decode_comparison(data[1], reg, interface);
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
	if (!decode_interface(table[NFTA_RULE_EXPRESSIONS], &rule->interface))
		rule->interface = (struct ruleset_interface){RULESET_NO_INTERFACE};
	return 0;
}
