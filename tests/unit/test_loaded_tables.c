/* What another program changes in a table while it is loaded or changed: it is seen and put right.
 * In a network namespace of the test's own; the other program's turn is when nft_run() has loaded
 * something (-Wl,--wrap). */
#include "addresses.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netlink.h>

#include "client/own_table.h"
#include "host/confinement.h"
#include "host/firewall.h"
#include "host/firewall_confined.h"
#include "host/host_config.h"
#include "netlink/socket.h"
#include "nftables/ruleset.h"

enum {
	FOR_EVER = 1000,
	MOST_LOADS = 3, /* of one call, while others change nftables too */
	MINUTE = 12, /* calls of firewall_reconcile() */
	SETS = 3, /* with the addresses that reach some destinations alone, and these */
};

/* The other program: what it does after our transactions, and after how many of them. */
static const char *foreign;
static unsigned int n_foreign, n_runs;
static unsigned int failing; /* which of our next transactions fails; 0: none */

static bool is_unreadable; /* what is in our tables */

/* The linker's names. */
int __real_table_digest(uint8_t family, const char *table, uint8_t digest[TABLE_DIGEST_SIZE]);
int __wrap_table_digest(uint8_t family, const char *table, uint8_t digest[TABLE_DIGEST_SIZE]);
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
	int result;

	n_runs++;
	if (failing > 0 && --failing == 0) {
		snprintf(error->text, sizeof error->text, "it is to fail");
		return -EIO;
	}
	result = __real_nft_run(commands, error);
	if (result == 0 && n_foreign > 0) {
		n_foreign--;
		run_foreign(foreign);
	}
	return result;
}

int __wrap_table_digest(uint8_t family, const char *table, uint8_t digest[TABLE_DIGEST_SIZE])
{
	return is_unreadable ? -EIO : __real_table_digest(family, table, digest);
}

static void disturb(const char *commands, unsigned int n)
{
	foreign = commands;
	n_foreign = n;
	n_runs = 0;
}

static const char flush_set[] = "flush set ip vprox peers_confined";
static const char flush_chain[] = "flush chain ip vprox tunnel";
static const char beside[] = "add table ip other\ndelete table ip other\n";

struct server {
	struct confinement confinement;
	struct host_endpoint endpoints[2];
	struct host_config config;
	struct firewall_state state;
	uint8_t loaded[FIREWALL_DIGEST_SIZE]; /* by nobody else's leave */
};

static int set_up(void **state)
{
	static struct server server;
	const struct prefix to[] = {prefix("10.0.0.0/8"), prefix("192.0.2.1/32")};

	*state = &server;
	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	server = (struct server){
		.endpoints = {{0, ipv4("203.0.113.1"), prefix("10.100.0.0/24"), 50227, false},
			{1, ipv4("203.0.113.2"), prefix("10.100.1.0/24"), 50228, false}},
		.config = {.endpoints = server.endpoints,
			.n_endpoints = 1,
			.max_endpoints = 2,
			.whole_block = prefix("10.100.0.0/16"),
			.block_length = 24,
			.policy = {.max_flows_per_peer = 2048},
			.confinement = &server.confinement},
	};
	disturb(NULL, 0);
	if (confinement_init(&server.confinement) < 0 ||
		confinement_set(&server.confinement, ipv4("10.100.0.2"), to, 2) < 0)
		return -1;
	return firewall_load(&server.config, &server.state) < 0 ||
			       firewall_digest(server.loaded) < 0
		       ? -1
		       : 0;
}

static int tear_down(void **state)
{
	struct server *server = *state;

	netlink_close(server->state.netlink);
	confinement_free(&server->confinement);
	return 0;
}

static void skip_without_rights(const struct server *server)
{
	if (server->config.n_endpoints == 0)
		skip();
}

/* What a call of every 5 s leaves. */
static void assert_right_after_a_call(struct server *server)
{
	uint8_t digest[FIREWALL_DIGEST_SIZE];

	disturb(NULL, 0);
	assert_int_equal(firewall_reconcile(&server->config, &server->state), 0);
	assert_true(firewall_has_confined(&server->confinement));
	assert_int_equal(firewall_digest(digest), 0);
	assert_memory_equal(digest, server->loaded, sizeof digest);
}

static void what_others_empty_while_the_firewall_is_loaded_is_filled_again(void **state)
{
	struct server *server = *state;

	skip_without_rights(server);
	disturb(flush_set, 1);
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
	assert_right_after_a_call(server);
}

static void rules_that_others_delete_while_the_firewall_is_loaded_come_again(void **state)
{
	struct server *server = *state;

	skip_without_rights(server);
	disturb(flush_chain, 1);
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
	assert_right_after_a_call(server);
	disturb("delete table ip vprox", 1);
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
	assert_right_after_a_call(server);
}

/* Likewise, with other endpoints than it was loaded with. */
static void assert_healed_after_a_call(struct server *server)
{
	struct ruleset_rule *rules;
	size_t n, n_checks = 0;

	disturb(NULL, 0);
	assert_int_equal(firewall_reconcile(&server->config, &server->state), 0);
	assert_true(firewall_has_confined(&server->confinement));
	assert_int_equal(ruleset_rules(NFPROTO_IPV4, "vprox", &rules, &n), 0);
	for (size_t i = 0; i < n; i++)
		n_checks += strcmp(rules[i].chain, "tunnel") == 0;
	free(rules);
	assert_true(n_checks > 0);
}

/* An endpoint comes, and goes. */
static void serve_and_cease(struct server *server, const char *commands)
{
	const struct host_endpoint *second = &server->endpoints[1];

	disturb(commands, 1);
	server->config.n_endpoints = 2;
	assert_int_equal(firewall_add(&server->config, second, &server->state), 0);
	assert_healed_after_a_call(server);
	disturb(commands, 1);
	server->config.n_endpoints = 1;
	assert_int_equal(firewall_take_out(&server->config, second, &server->state), 0);
	assert_healed_after_a_call(server);
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
}

static void what_others_change_while_an_endpoint_comes_or_goes_is_put_right(void **state)
{
	struct server *server = *state;

	skip_without_rights(server);
	serve_and_cease(server, flush_set);
	serve_and_cease(server, flush_chain);
	assert_right_after_a_call(server);
}

static void what_others_have_changed_before_an_endpoint_comes_is_put_right(void **state)
{
	struct server *server = *state;

	skip_without_rights(server);
	run_foreign(flush_set);
	server->config.n_endpoints = 2;
	assert_int_equal(firewall_add(&server->config, &server->endpoints[1], &server->state), 0);
	assert_healed_after_a_call(server);
}

static void an_endpoint_that_comes_is_added_and_nothing_is_loaded(void **state)
{
	struct server *server = *state;

	skip_without_rights(server);
	run_foreign(beside);
	disturb(NULL, 0);
	server->config.n_endpoints = 2;
	assert_int_equal(firewall_add(&server->config, &server->endpoints[1], &server->state), 0);
	assert_int_equal(firewall_reconcile(&server->config, &server->state), 0);
	assert_int_equal(n_runs, 1);
	assert_false(server->state.tables.is_uncertain);
}

static void reconcile_while_others_change(struct server *server)
{
	for (int i = 0; i < MINUTE; i++) {
		run_foreign(beside);
		assert_int_equal(firewall_reconcile(&server->config, &server->state), 0);
	}
}

static void beside_others_that_never_rest_the_firewall_is_not_loaded_for_ever(void **state)
{
	const struct prefix to = prefix("10.0.0.0/8");
	struct server *server = *state;
	struct confining grant = {ipv4("10.100.0.3"), &to, 1};

	skip_without_rights(server);
	disturb(beside, FOR_EVER);
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
	assert_true(server->state.tables.is_uncertain);
	assert_in_range(n_runs, 1, MOST_LOADS);
	reconcile_while_others_change(server);
	run_foreign(beside);
	assert_int_equal(firewall_confine(&server->config, &server->state, &grant, 1), 0);
	assert_in_range(n_runs, 1, MOST_LOADS);
	assert_true(firewall_has_confined(&server->confinement));
	/* What they change in the tables later is put right all the same. */
	run_foreign(flush_chain);
	assert_right_after_a_call(server);
}

static void what_never_was_seen_as_loaded_is_loaded_again_later(void **state)
{
	struct server *server = *state;

	skip_without_rights(server);
	disturb(flush_chain, FOR_EVER);
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
	assert_in_range(n_runs, 1, MOST_LOADS);
	disturb(NULL, 0);
	server->state.tables.next_load = 0;
	assert_right_after_a_call(server);
	assert_false(server->state.tables.is_uncertain);
}

/* Without anything to tell that it has changed. */
static void change_unseen(struct server *server, const char *commands)
{
	run_foreign(commands);
	assert_int_equal(ruleset_generation(&server->state.tables.generation), 0);
}

static void whatever_has_been_counted_wrong_minutes_later_all_is_as_it_should_be(void **state)
{
	static const char *const changes[] = {
		flush_chain, flush_set, "flush set ip vprox peers_reach_8"};
	struct server *server = *state;

	skip_without_rights(server);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		change_unseen(server, changes[i]);
		disturb(NULL, 0);
		for (int call = 0; call < SETS * MINUTE; call++)
			assert_int_equal(firewall_reconcile(&server->config, &server->state), 0);
		assert_int_equal(n_runs, 1);
		assert_right_after_a_call(server);
	}
}

/* A client's */

static const char text[] = "\tchain c {\n"
			   "\t\ttype filter hook output priority filter; policy accept;\n"
			   "\t\tip daddr 192.0.2.0/24 drop\n"
			   "\t}\n";
static const char flush_block[] = "flush chain inet p-vprox0 c";

static void set_table(struct own_table *table)
{
	struct nft_error reason;

	assert_int_equal(own_table_set(table, text, &reason), 0);
}

static void assert_blocked(void)
{
	struct ruleset_rule *rules;
	size_t n;

	assert_int_equal(ruleset_rules(NFPROTO_INET, "p-vprox0", &rules, &n), 0);
	assert_int_equal(n, 1);
	free(rules);
}

static void what_others_change_while_a_client_loads_its_block_is_put_right(void **state)
{
	struct own_table table = own_table_for("p-", "vprox0");

	skip_without_rights(*state);
	disturb(flush_block, 1);
	set_table(&table);
	set_table(&table); /* as when the notice of it has come */
	assert_blocked();
	assert_int_equal(own_table_wait_ms(&table), 0);
	own_table_forget(&table);
}

static void a_client_does_not_load_for_ever_and_is_called_again(void **state)
{
	struct own_table table = own_table_for("p-", "vprox0");

	skip_without_rights(*state);
	disturb(flush_block, FOR_EVER);
	set_table(&table);
	assert_in_range(n_runs, 1, MOST_LOADS);
	assert_in_range(own_table_wait_ms(&table), 1, 5000);
	disturb(NULL, 0);
	set_table(&table);
	assert_int_equal(n_runs, 0);
	table.loaded.next_load = 0;
	set_table(&table);
	assert_blocked();
	assert_int_equal(own_table_wait_ms(&table), 0);
	own_table_forget(&table);
}

static void fail_to_set(struct own_table *table, unsigned int load)
{
	struct nft_error reason;

	failing = load;
	assert_int_equal(own_table_set(table, text, &reason), -EIO);
	assert_int_equal(failing, 0);
}

static void a_load_that_others_overtake_and_that_then_fails_is_made_again(void **state)
{
	struct own_table table = own_table_for("p-", "vprox0");

	skip_without_rights(*state);
	set_table(&table);
	run_foreign(flush_block);
	disturb(flush_block, 1);
	fail_to_set(&table, 2);
	assert_in_range(own_table_wait_ms(&table), 1, 5000);
	table.loaded.next_load = 0;
	set_table(&table);
	assert_blocked();
	assert_int_equal(own_table_wait_ms(&table), 0);
	own_table_forget(&table);
}

/* Else the client would do nothing but try. */
static void what_fails_when_it_is_due_is_not_tried_again_at_once(void **state)
{
	struct own_table table = own_table_for("p-", "vprox0");

	skip_without_rights(*state);
	disturb(flush_block, FOR_EVER);
	set_table(&table);
	disturb(NULL, 0);
	table.loaded.next_load = 0;
	assert_in_range(own_table_wait_ms(&table), 1000, 5000); /* nothing was loaded */
	fail_to_set(&table, 1);
	assert_in_range(own_table_wait_ms(&table), 1000, 10000);
	own_table_forget(&table);
}

/* What is logged from one call to the other. */
struct log_capture {
	FILE *file;
	int standard_error;
};

static struct log_capture log_begin(void)
{
	struct log_capture capture = {tmpfile(), dup(STDERR_FILENO)};

	assert_non_null(capture.file);
	dup2(fileno(capture.file), STDERR_FILENO);
	return capture;
}

static const char *log_end(struct log_capture *capture)
{
	static char lines[4096];
	size_t n;

	dup2(capture->standard_error, STDERR_FILENO);
	close(capture->standard_error);
	rewind(capture->file);
	n = fread(lines, 1, sizeof lines - 1, capture->file);
	fclose(capture->file);
	lines[n] = '\0';
	return lines;
}

static void assert_said_of_reading(struct log_capture *capture, const char *what)
{
	const char *lines = log_end(capture);

	if (!strstr(lines, what) || strstr(lines, "other program"))
		fail_msg("%s", lines);
}

static void what_cannot_be_read_is_said_and_no_other_program_is_blamed(void **state)
{
	struct server *server = *state;
	struct log_capture capture;

	skip_without_rights(server);
	is_unreadable = true;
	run_foreign(beside);
	capture = log_begin();
	assert_int_equal(firewall_reconcile(&server->config, &server->state), -EIO);
	assert_said_of_reading(&capture, "cannot check the firewall: Input/output error");
	disturb(NULL, 0);
	capture = log_begin();
	assert_int_equal(firewall_load(&server->config, &server->state), 0);
	assert_said_of_reading(&capture, "vprox was loaded and cannot be read: Input/output error");
	assert_int_equal(n_runs, 1);
	capture = log_begin();
	server->config.n_endpoints = 2;
	assert_int_equal(firewall_add(&server->config, &server->endpoints[1], &server->state), 0);
	assert_said_of_reading(&capture, "as it cannot be changed: Input/output error");
	server->config.n_endpoints = 1;
	is_unreadable = false;
	server->state.tables.next_load = 0;
	assert_right_after_a_call(server);
	assert_false(server->state.tables.is_uncertain);
}

static void a_client_says_that_it_cannot_read_its_block(void **state)
{
	struct own_table table = own_table_for("p-", "vprox0");
	struct log_capture capture;

	skip_without_rights(*state);
	set_table(&table);
	run_foreign(beside);
	is_unreadable = true;
	capture = log_begin();
	set_table(&table);
	assert_said_of_reading(&capture, "loading it again: Input/output error");
	is_unreadable = false;
	table.loaded.next_load = 0;
	set_table(&table);
	assert_blocked();
	own_table_forget(&table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_others_empty_while_the_firewall_is_loaded_is_filled_again),
		TEST(rules_that_others_delete_while_the_firewall_is_loaded_come_again),
		TEST(what_others_change_while_an_endpoint_comes_or_goes_is_put_right),
		TEST(what_others_have_changed_before_an_endpoint_comes_is_put_right),
		TEST(an_endpoint_that_comes_is_added_and_nothing_is_loaded),
		TEST(beside_others_that_never_rest_the_firewall_is_not_loaded_for_ever),
		TEST(what_never_was_seen_as_loaded_is_loaded_again_later),
		TEST(whatever_has_been_counted_wrong_minutes_later_all_is_as_it_should_be),
		TEST(what_others_change_while_a_client_loads_its_block_is_put_right),
		TEST(a_client_does_not_load_for_ever_and_is_called_again),
		TEST(a_load_that_others_overtake_and_that_then_fails_is_made_again),
		TEST(what_fails_when_it_is_due_is_not_tried_again_at_once),
		TEST(what_cannot_be_read_is_said_and_no_other_program_is_blamed),
		TEST(a_client_says_that_it_cannot_read_its_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
