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

/* The linker's names. */
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

static struct foreign_firewall *open_firewall(void)
{
	static struct host_endpoint endpoint;
	static const struct host_config config = {
		.endpoints = &endpoint, .n_endpoints = 1, .max_endpoints = 1};
	struct foreign_firewall *firewall = foreign_firewall_new(NULL, &config);

	endpoint = (struct host_endpoint){
		0, ipv4("203.0.113.1"), prefix("10.100.0.0/16"), 50227, false};
	assert_non_null(firewall);
	return firewall;
}

static void what_an_earlier_server_left_is_replaced_also_beside_others(void **state)
{
	struct foreign_firewall *firewall;
	uint64_t left;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	run_foreign(others);
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
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	run_foreign(others);
	run_foreign("table ip owned {\n"
		    "\tchain forward {\n"
		    "\t\ttype filter hook forward priority filter; policy drop;\n"
		    "\t}\n"
		    "}\n");
	firewall = open_firewall();
	foreign_firewall_reconcile(firewall);
	foreign_firewall_reconcile(firewall);
	n = n_runs;
	foreign_firewall_reconcile(firewall);
	foreign_firewall_reconcile(firewall);
	assert_int_equal(n_runs, n);
	foreign_firewall_free(firewall, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_earlier_server_left_is_replaced_also_beside_others),
		cmocka_unit_test(beside_a_table_that_cannot_be_changed_another_one_is_opened_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
