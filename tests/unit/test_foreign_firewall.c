/* Another program that changes its firewall just when the server is about to open it: VPROX is as
 * it should be a call later. In a network namespace of the test's own (-Wl,--wrap). */
#include "addresses.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include <linux/netfilter.h>

#include "host/foreign_firewall.h"
#include "host/host_config.h"
#include "nftables/nft.h"
#include "nftables/ruleset.h"

/* What the other program does before our next transaction. NULL: nothing. */
static const char *foreign;
static unsigned int n_runs;
/* The name of a table that cannot be read. NULL: there is none. */
static const char *unreadable;

/* The linker's names. */
int __real_ruleset_rules(uint8_t family, const char *table, struct ruleset_rule **rules, size_t *n);
int __wrap_ruleset_rules(uint8_t family, const char *table, struct ruleset_rule **rules, size_t *n);
int __real_nft_run(const char *commands, struct nft_error *error);
int __wrap_nft_run(const char *commands, struct nft_error *error);

static void run_foreign(const char *commands)
{
	struct nft_error reason;

	if (__real_nft_run(commands, &reason) < 0)
		fail_msg("%s: %s", commands, reason.text);
}

int __wrap_nft_run(const char *commands, struct nft_error *error)
{
	if (foreign)
		run_foreign(foreign);
	foreign = NULL;
	n_runs++;
	/* as that of firewalld's, which it owns */
	if (strstr(commands, " ip owned ")) {
		strcpy(error->text, "Operation not permitted");
		return -EIO;
	}
	return __real_nft_run(commands, error);
}

int __wrap_ruleset_rules(uint8_t family, const char *table, struct ruleset_rule **rules, size_t *n)
{
	*rules = NULL;
	*n = 0;
	return unreadable && strcmp(table, unreadable) == 0
		       ? -EIO
		       : __real_ruleset_rules(family, table, rules, n);
}

/* With a rule that VPROX stands before, and what an earlier server has left of another endpoint. */
static const char others[] = "table ip filter {\n"
			     "\tchain VPROX {\n"
			     "\t\tiifname \"vprox7\" accept\n"
			     "\t\tiifname \"vp7-*\" accept\n"
			     "\t\toifname \"vprox7\" accept\n"
			     "\t\toifname \"vp7-*\" accept\n"
			     "\t}\n"
			     "\tchain forward {\n"
			     "\t\ttype filter hook forward priority filter; policy accept;\n"
			     "\t\tjump VPROX\n"
			     "\t\tdrop\n"
			     "\t}\n"
			     "}\n";
static const char written_again[] = "flush chain ip filter forward\n"
				    "add rule ip filter forward jump VPROX\n"
				    "add rule ip filter forward drop\n";

/* Commands that make another table, which drops what is forwarded. */
#define DROPPING(table)                                                                            \
	"table ip " table " {\n"                                                                   \
	"\tchain forward {\n"                                                                      \
	"\t\ttype filter hook forward priority filter; policy drop;\n"                             \
	"\t}\n"                                                                                    \
	"}\n"

/* A host with these, in a network namespace of its own. */
static void enter_host(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	run_foreign(others);
}

/* Of the first of VPROX's rules: it is another one where these were written anew. */
static uint64_t handle(void)
{
	struct ruleset_rule *rules;
	uint64_t handle = 0;
	size_t n;

	assert_int_equal(ruleset_rules(NFPROTO_IPV4, "filter", &rules, &n), 0);
	for (size_t i = n; i-- > 0;)
		if (strcmp(rules[i].chain, "VPROX") == 0)
			handle = rules[i].handle;
	free(rules);
	return handle;
}

static struct foreign_firewall *open_firewall_that_shares(bool shares_ipip)
{
	static struct host_endpoint endpoint;
	static struct host_config config;
	struct foreign_firewall *firewall = foreign_firewall_new(NULL, &config);

	config = (struct host_config){.endpoints = &endpoint,
		.n_endpoints = 1,
		.max_endpoints = 1,
		.shares_ipip = shares_ipip};
	endpoint = (struct host_endpoint){
		0, ipv4("203.0.113.1"), prefix("10.100.0.0/16"), 50227, false};
	assert_non_null(firewall);
	return firewall;
}

static struct foreign_firewall *open_firewall(void)
{
	return open_firewall_that_shares(false);
}

static void what_an_earlier_server_left_is_replaced_also_beside_others(void **state)
{
	struct foreign_firewall *firewall;
	uint64_t left;

	(void)state;
	enter_host();
	left = handle();
	firewall = open_firewall();
	foreign = written_again;
	foreign_firewall_reconcile(firewall);
	assert_null(foreign);
	foreign_firewall_reconcile(firewall);
	assert_true(handle() > left);
	foreign_firewall_free(firewall, false);
	assert_int_equal(handle(), 0);
}

/* The first table's change moves the generation on, which is no news at the second one's. */
static void beside_a_table_that_cannot_be_changed_another_one_is_opened_once(void **state)
{
	struct foreign_firewall *firewall;
	unsigned int n;

	(void)state;
	enter_host();
	run_foreign(DROPPING("owned"));
	firewall = open_firewall();
	foreign_firewall_reconcile(firewall);
	foreign_firewall_reconcile(firewall);
	n = n_runs;
	foreign_firewall_reconcile(firewall);
	foreign_firewall_reconcile(firewall);
	assert_int_equal(n_runs, n);
	foreign_firewall_free(firewall, true);
}

/* Commands that give VPROX four rules. */
#define VPROX_OF(a, b, c, d)                                                                       \
	"flush chain ip filter VPROX\n"                                                            \
	"add rule ip filter VPROX " a "\n"                                                         \
	"add rule ip filter VPROX " b "\n"                                                         \
	"add rule ip filter VPROX " c "\n"                                                         \
	"add rule ip filter VPROX " d "\n"

/* As many rules as there should be. */
static void rules_that_another_program_has_changed_are_written_anew(void **state)
{
	static const char *const changes[] = {
		VPROX_OF("iifname \"vprox7\" accept", "oifname \"vprox7\" accept",
			"iifname \"vp7-*\" accept", "oifname \"vp7-*\" accept"),
		VPROX_OF("iifname != \"vprox0\" accept", "oifname \"vprox0\" accept",
			"iifname \"vp0-*\" accept", "oifname \"vp0-*\" accept"),
		VPROX_OF("iifname \"vprox0\" accept", "oifname \"vprox0\" accept",
			"iifname \"vp0-*\" drop", "oifname \"vp0-*\" accept"),
		VPROX_OF("iifname \"vprox0\" accept", "oifname \"vprox0\" accept",
			"iifname \"vp0-\" accept", "oifname \"vp0-*\" accept"),
		VPROX_OF("ip daddr 192.0.2.1 iifname \"vprox0\" accept",
			"oifname \"vprox0\" accept", "iifname \"vp0-*\" accept",
			"oifname \"vp0-*\" accept"),
	};
	struct foreign_firewall *firewall;

	(void)state;
	enter_host();
	firewall = open_firewall();
	foreign_firewall_reconcile(firewall);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		uint64_t changed;

		run_foreign(changes[i]);
		changed = handle();
		foreign_firewall_reconcile(firewall);
		assert_true(handle() > changed);
	}
	foreign_firewall_free(firewall, false);
}

/* The first with counters, as iptables-restore writes them. */
static void rules_that_are_right_are_left_alone_also_by_the_next_server(void **state)
{
	struct foreign_firewall *firewall;
	uint64_t written;

	(void)state;
	enter_host();
	run_foreign("flush chain ip filter VPROX\n"
		    "add rule ip filter VPROX iifname \"vprox0\" counter accept\n"
		    "add rule ip filter VPROX oifname \"vprox0\" counter accept\n"
		    "add rule ip filter VPROX iifname \"vp0-*\" counter accept\n"
		    "add rule ip filter VPROX oifname \"vp0-*\" counter accept\n");
	written = handle();
	for (int i = 0; i < 2; i++) {
		firewall = open_firewall();
		foreign_firewall_reconcile(firewall);
		foreign_firewall_endpoints_changed(firewall);
		foreign_firewall_reconcile(firewall);
		assert_int_equal(handle(), written);
		foreign_firewall_free(firewall, true);
	}
}

static void rules_for_the_interface_that_is_shared_are_known_again(void **state)
{
	struct foreign_firewall *firewall;
	uint64_t written;

	(void)state;
	enter_host();
	firewall = open_firewall_that_shares(true);
	foreign_firewall_reconcile(firewall);
	written = handle();
	foreign_firewall_endpoints_changed(firewall);
	foreign_firewall_reconcile(firewall);
	assert_int_equal(handle(), written);
	foreign_firewall_free(firewall, false);
}

static void while_a_table_cannot_be_read_the_others_are_not_written_again(void **state)
{
	struct foreign_firewall *firewall;
	uint64_t written;

	(void)state;
	enter_host();
	run_foreign(DROPPING("unread"));
	firewall = open_firewall();
	unreadable = "unread";
	foreign_firewall_reconcile(firewall);
	written = handle();
	foreign_firewall_reconcile(firewall);
	foreign_firewall_reconcile(firewall);
	assert_int_equal(handle(), written);
	unreadable = NULL;
	foreign_firewall_free(firewall, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_earlier_server_left_is_replaced_also_beside_others),
		cmocka_unit_test(beside_a_table_that_cannot_be_changed_another_one_is_opened_once),
		cmocka_unit_test(rules_that_another_program_has_changed_are_written_anew),
		cmocka_unit_test(rules_that_are_right_are_left_alone_also_by_the_next_server),
		cmocka_unit_test(rules_for_the_interface_that_is_shared_are_known_again),
		cmocka_unit_test(while_a_table_cannot_be_read_the_others_are_not_written_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
