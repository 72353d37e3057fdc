#include "addresses.h"

#include <stdlib.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netlink/rule.h"
#include "host/host_config.h"
#include "host/mark.h"
#include "host/policy_rules.h"

static struct host_config config_of(struct host_endpoint endpoints[2])
{
	endpoints[0] = (struct host_endpoint){
		.bind = prefix("203.0.113.1/32").address, .block = prefix("10.100.0.0/17")};
	endpoints[1] = (struct host_endpoint){
		.bind = prefix("198.51.100.1/32").address, .block = prefix("10.100.128.0/17")};
	return (struct host_config){
		.endpoints = endpoints, .n_endpoints = 2, .whole_block = prefix("10.100.0.0/16")};
}

static struct rule rule_from(const char *from, uint32_t priority, uint32_t table)
{
	return (struct rule){.priority = priority,
		.from = prefix(from),
		.action = FR_ACT_TO_TBL,
		.table = table};
}

/* The texts of what is wanted, "from|to|priority|table" each, in their order. */
static void assert_wanted(const struct rule *present, size_t n, const char *expected)
{
	struct host_endpoint endpoints[2];
	struct host_config config = config_of(endpoints);
	auto_free struct rule *wanted = NULL;
	char text[1024] = "";
	size_t n_wanted;

	assert_int_equal(policy_rules_wanted(&config, present, n, &wanted, &n_wanted), 0);
	for (size_t i = 0; i < n_wanted; i++) {
		char one[128];

		assert_int_equal(wanted[i].protocol, SERVER_MARK);
		snprintf(one, sizeof one, "%s|%s|%u|%u ", prefix_text(wanted[i].from).s,
			prefix_text(wanted[i].to).s, wanted[i].priority, wanted[i].table);
		strcat(text, one);
	}
	assert_string_equal(text, expected);
}

#define TO_BLOCK "0.0.0.0/0|10.100.0.0/16|1|254 "

static void the_whole_block_is_looked_up_in_the_main_table_first(void **state)
{
	(void)state;
	assert_wanted(NULL, 0, TO_BLOCK);
}

static void each_endpoint_mirrors_the_rules_of_its_own_address(void **state)
{
	struct rule present[] = {
		rule_from("203.0.113.1/32", 100, 7),
		rule_from("198.51.100.0/24", 200, 8),
		rule_from("0.0.0.0/0", 300, 9),
		rule_from("203.0.113.2/32", 400, 10),
	};

	(void)state;
	assert_wanted(present, 4,
		TO_BLOCK "10.100.0.0/17|0.0.0.0/0|100|7 10.100.128.0/17|0.0.0.0/0|200|8 ");
}

static void our_own_rules_are_never_mirrored(void **state)
{
	struct rule present[] = {rule_from("203.0.113.0/24", 100, 7)};

	(void)state;
	present[0].protocol = SERVER_MARK;
	assert_wanted(present, 1, TO_BLOCK);
}

static void two_rules_with_the_same_mirror_give_one(void **state)
{
	struct rule present[] = {
		rule_from("203.0.113.1/32", 100, 7), rule_from("203.0.113.0/24", 100, 7)};

	(void)state;
	assert_wanted(present, 2, TO_BLOCK "10.100.0.0/17|0.0.0.0/0|100|7 ");
}

static void what_the_host_has_itself_is_not_added(void **state)
{
	struct rule present[] = {rule_from("203.0.113.1/32", 100, 7),
		rule_from("10.100.0.0/17", 100, 7),
		{.priority = 1,
			.to = prefix("10.100.0.0/16"),
			.action = FR_ACT_TO_TBL,
			.table = RT_TABLE_MAIN}};

	(void)state;
	assert_wanted(present, 3, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_block_is_looked_up_in_the_main_table_first),
		cmocka_unit_test(each_endpoint_mirrors_the_rules_of_its_own_address),
		cmocka_unit_test(our_own_rules_are_never_mirrored),
		cmocka_unit_test(two_rules_with_the_same_mirror_give_one),
		cmocka_unit_test(what_the_host_has_itself_is_not_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
