#include "test.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include "nftables/ruleset.h"

/* The kernel's answers, built as net/netfilter/nf_tables_api.c builds them. */
struct answer {
	_Alignas(8) char buffer[1024];
	struct nlmsghdr *message;
	struct nlattr *expressions;
};

static void begin(struct answer *answer, uint16_t type, uint8_t family)
{
	struct nfgenmsg *header;

	answer->message = mnl_nlmsg_put_header(answer->buffer);
	answer->message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	header = mnl_nlmsg_put_extra_header(answer->message, sizeof *header);
	header->nfgen_family = family;
}

static void begin_rule(struct answer *answer)
{
	begin(answer, NFT_MSG_NEWRULE, NFPROTO_IPV4);
	mnl_attr_put_strz(answer->message, NFTA_RULE_TABLE, "filter");
	mnl_attr_put_strz(answer->message, NFTA_RULE_CHAIN, "FORWARD");
	mnl_attr_put_u64(answer->message, NFTA_RULE_HANDLE, htobe64(77));
	answer->expressions = mnl_attr_nest_start(answer->message, NFTA_RULE_EXPRESSIONS);
}

static void put_plain(struct answer *answer, const char *name)
{
	struct nlattr *element = mnl_attr_nest_start(answer->message, NFTA_LIST_ELEM);

	mnl_attr_put_strz(answer->message, NFTA_EXPR_NAME, name);
	mnl_attr_nest_end(answer->message, element);
}

static void put_verdict(struct answer *answer, int32_t code, const char *chain)
{
	struct nlmsghdr *message = answer->message;
	struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	struct nlattr *data, *value, *verdict;

	mnl_attr_put_strz(message, NFTA_EXPR_NAME, "immediate");
	data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
	mnl_attr_put_u32(message, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
	value = mnl_attr_nest_start(message, NFTA_IMMEDIATE_DATA);
	verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(message, NFTA_VERDICT_CODE, htonl((uint32_t)code));
	if (chain)
		mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(message, verdict);
	mnl_attr_nest_end(message, value);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, element);
}

/* A target or a match of xtables': both have their name first. */
static void put_xtables(
	struct answer *answer, const char *kind, uint16_t attribute, const char *name)
{
	struct nlattr *element = mnl_attr_nest_start(answer->message, NFTA_LIST_ELEM);
	struct nlattr *data;

	mnl_attr_put_strz(answer->message, NFTA_EXPR_NAME, kind);
	data = mnl_attr_nest_start(answer->message, NFTA_EXPR_DATA);
	mnl_attr_put_strz(answer->message, attribute, name);
	mnl_attr_nest_end(answer->message, data);
	mnl_attr_nest_end(answer->message, element);
}

static void put_target(struct answer *answer, const char *name)
{
	put_xtables(answer, "target", NFTA_TARGET_NAME, name);
}

static void put_match(struct answer *answer, const char *name)
{
	put_xtables(answer, "match", NFTA_MATCH_NAME, name);
}

static void put_lookup(struct answer *answer, uint32_t destination)
{
	struct nlattr *element = mnl_attr_nest_start(answer->message, NFTA_LIST_ELEM);
	struct nlattr *data;

	mnl_attr_put_strz(answer->message, NFTA_EXPR_NAME, "lookup");
	data = mnl_attr_nest_start(answer->message, NFTA_EXPR_DATA);
	mnl_attr_put_strz(answer->message, NFTA_LOOKUP_SET, "__map0");
	mnl_attr_put_u32(answer->message, NFTA_LOOKUP_DREG, htonl(destination));
	mnl_attr_nest_end(answer->message, data);
	mnl_attr_nest_end(answer->message, element);
}

static void assert_rule(struct ruleset_rule rule, bool is_conditional, enum ruleset_verdict verdict)
{
	assert_string_equal(rule.chain, "FORWARD");
	assert_int_equal(rule.is_conditional, is_conditional);
	assert_int_equal(rule.verdict, verdict);
}

static struct ruleset_rule decode(struct answer *answer)
{
	struct ruleset_rule rule;

	mnl_attr_nest_end(answer->message, answer->expressions);
	assert_int_equal(ruleset_decode_rule(answer->message, &rule), 0);
	assert_int_equal(rule.handle, 77);
	return rule;
}

static void a_base_chain_has_its_hook_and_policy(void **state)
{
	struct ruleset_chain chain;
	struct answer answer;
	struct nlattr *hook;

	(void)state;
	begin(&answer, NFT_MSG_NEWCHAIN, NFPROTO_INET);
	mnl_attr_put_strz(answer.message, NFTA_CHAIN_TABLE, "mine");
	mnl_attr_put_strz(answer.message, NFTA_CHAIN_NAME, "forward");
	hook = mnl_attr_nest_start(answer.message, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(answer.message, NFTA_HOOK_HOOKNUM, htonl(NF_INET_FORWARD));
	mnl_attr_nest_end(answer.message, hook);
	mnl_attr_put_u32(answer.message, NFTA_CHAIN_POLICY, htonl(NF_DROP));

	assert_int_equal(ruleset_decode_chain(answer.message, &chain), 0);
	assert_string_equal(ruleset_family_name(chain.family), "inet");
	assert_string_equal(chain.table, "mine");
	assert_string_equal(chain.name, "forward");
	assert_true(chain.is_base);
	assert_int_equal(chain.hook, NF_INET_FORWARD);
	assert_true(chain.policy_drop);
}

static void a_chain_without_a_hook_is_no_base_chain(void **state)
{
	struct ruleset_chain chain;
	struct answer answer;

	(void)state;
	begin(&answer, NFT_MSG_NEWCHAIN, NFPROTO_IPV4);
	mnl_attr_put_strz(answer.message, NFTA_CHAIN_TABLE, "filter");
	mnl_attr_put_strz(answer.message, NFTA_CHAIN_NAME, "DOCKER");
	assert_int_equal(ruleset_decode_chain(answer.message, &chain), 0);
	assert_false(chain.is_base);
	assert_false(chain.policy_drop);
}

static void a_jump_is_known_with_its_target(void **state)
{
	static const struct {
		int32_t code;
		enum ruleset_verdict verdict;
	} kinds[] = {{NFT_JUMP, RULESET_JUMP}, {NFT_GOTO, RULESET_GOTO}};
	struct ruleset_rule rule;
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		begin_rule(&answer);
		put_plain(&answer, "counter");
		put_verdict(&answer, kinds[i].code, "VPROX");
		rule = decode(&answer);
		assert_rule(rule, false, kinds[i].verdict);
		assert_string_equal(rule.target, "VPROX");
	}
}

static void a_rule_with_a_condition_is_known_with_its_verdict(void **state)
{
	struct answer answer;

	(void)state;
	begin_rule(&answer);
	put_plain(&answer, "meta");
	put_plain(&answer, "cmp");
	put_verdict(&answer, NFT_JUMP, "VPROX");
	assert_rule(decode(&answer), true, RULESET_JUMP);

	begin_rule(&answer);
	put_match(&answer, "conntrack");
	put_verdict(&answer, NF_DROP, NULL);
	assert_rule(decode(&answer), true, RULESET_STOP);
}

static void a_comment_is_no_condition(void **state)
{
	struct answer answer;

	(void)state;
	begin_rule(&answer);
	put_match(&answer, "comment");
	put_verdict(&answer, NF_DROP, NULL);
	assert_rule(decode(&answer), false, RULESET_STOP);
}

static void what_accepts_returns_or_only_counts_is_known(void **state)
{
	struct answer answer;

	(void)state;
	begin_rule(&answer);
	put_verdict(&answer, NF_ACCEPT, NULL);
	assert_rule(decode(&answer), false, RULESET_ACCEPT);

	begin_rule(&answer);
	put_verdict(&answer, NFT_RETURN, NULL);
	assert_rule(decode(&answer), false, RULESET_RETURN);

	begin_rule(&answer);
	put_plain(&answer, "counter");
	assert_rule(decode(&answer), false, RULESET_NONE);

	begin_rule(&answer);
	put_target(&answer, "LOG");
	assert_rule(decode(&answer), false, RULESET_NONE);
}

static void what_drops_or_rejects_stops(void **state)
{
	struct answer answer;

	(void)state;
	begin_rule(&answer);
	put_plain(&answer, "counter");
	put_plain(&answer, "log");
	put_verdict(&answer, NF_DROP, NULL);
	assert_rule(decode(&answer), false, RULESET_STOP);

	begin_rule(&answer);
	put_plain(&answer, "reject");
	assert_rule(decode(&answer), false, RULESET_STOP);

	begin_rule(&answer);
	put_plain(&answer, "counter");
	put_target(&answer, "REJECT");
	assert_rule(decode(&answer), false, RULESET_STOP);
}

static void a_map_of_verdicts_may_decide_anything_for_some(void **state)
{
	struct answer answer;

	(void)state;
	begin_rule(&answer);
	put_plain(&answer, "ct");
	put_lookup(&answer, NFT_REG_VERDICT);
	assert_rule(decode(&answer), true, RULESET_UNKNOWN);

	begin_rule(&answer);
	put_plain(&answer, "ct");
	put_lookup(&answer, NFT_REG_1);
	assert_rule(decode(&answer), true, RULESET_NONE);
}

static void what_others_decide_is_unknown(void **state)
{
	struct answer answer;

	(void)state;
	begin_rule(&answer);
	put_plain(&answer, "queue");
	assert_rule(decode(&answer), false, RULESET_UNKNOWN);

	begin_rule(&answer);
	put_target(&answer, "NFQUEUE");
	assert_rule(decode(&answer), false, RULESET_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_base_chain_has_its_hook_and_policy),
		cmocka_unit_test(a_chain_without_a_hook_is_no_base_chain),
		cmocka_unit_test(a_jump_is_known_with_its_target),
		cmocka_unit_test(a_rule_with_a_condition_is_known_with_its_verdict),
		cmocka_unit_test(a_comment_is_no_condition),
		cmocka_unit_test(what_accepts_returns_or_only_counts_is_known),
		cmocka_unit_test(what_drops_or_rejects_stops),
		cmocka_unit_test(a_map_of_verdicts_may_decide_anything_for_some),
		cmocka_unit_test(what_others_decide_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
