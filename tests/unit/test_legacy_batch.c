#include "test.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "host/host_config.h"
#include "host/legacy_batch.h"

#define ACCEPTS                                                                                    \
	"-A VPROX -i vprox2 -j ACCEPT\n-A VPROX -i vp2-+ -j ACCEPT\n"                              \
	"-A VPROX -o vprox2 -j ACCEPT\n-A VPROX -o vp2-+ -j ACCEPT\n"
#define OPENING "*filter\n:VPROX - [0:0]\n" ACCEPTS

static void assert_judged(const char *saved, const char *expected, bool expected_shared)
{
	static const struct host_endpoint endpoint = {.index = 2};
	static const struct host_config config = {.endpoints = &endpoint, .n_endpoints = 1};
	bool is_shared;
	auto_free char *batch = legacy_batch_opening(saved, &config, &is_shared);

	assert_string_equal(batch, expected);
	assert_int_equal(is_shared, expected_shared);
}

static void assert_opening(const char *saved, const char *expected)
{
	assert_judged(saved, expected, false);
}

static void assert_closing(const char *saved, const char *expected)
{
	auto_free char *batch = legacy_batch_closing(saved);

	assert_string_equal(batch, expected);
}

static void a_closed_forward_chain_is_opened_where_it_drops(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n"
		       "-A FORWARD -j DOCKER-USER\nCOMMIT\n",
		OPENING "-A FORWARD -j VPROX\nCOMMIT\n");
	assert_opening("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i lo -j ACCEPT\n"
		       "-A FORWARD -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n",
		OPENING "-I FORWARD 2 -j VPROX\nCOMMIT\n");
}

static void the_interface_that_ipip_peers_share_is_let_through(void **state)
{
	static const struct host_config config = {.shares_ipip = true};
	bool is_shared;
	auto_free char *batch =
		legacy_batch_opening("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", &config, &is_shared);

	(void)state;
	assert_string_equal(batch,
		"*filter\n:VPROX - [0:0]\n-A VPROX -i vprox-ipip -j ACCEPT\n"
		"-A VPROX -o vprox-ipip -j ACCEPT\n-A FORWARD -j VPROX\nCOMMIT\n");
}

static void a_chain_that_rejects_is_noticed_behind_a_jump(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD ACCEPT [0:0]\n:RH - [0:0]\n-A FORWARD -j RH\n"
		       "-A RH -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n",
		OPENING "-I FORWARD 1 -j VPROX\nCOMMIT\n");
}

static void what_would_override_somebody_is_told_apart(void **state)
{
	(void)state;
	assert_judged("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:RH - [0:0]\n"
		      "-A INPUT -j RH\n-A FORWARD -j RH\n-A RH -s 192.0.2.1/32 -j DROP\n"
		      "-A RH -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n",
		"", true);
}

static void a_jump_that_was_overtaken_is_moved(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD DROP [0:0]\n:VPROX - [0:0]\n-A FORWARD -j VPROX\n"
		       "-A FORWARD -d 192.0.2.1/32 -j DROP\n" ACCEPTS "COMMIT\n",
		OPENING "-D FORWARD 1\n-A FORWARD -j VPROX\nCOMMIT\n");
	assert_opening("*filter\n:FORWARD ACCEPT [0:0]\n:VPROX - [0:0]\n-A FORWARD -j VPROX\n"
		       "-A FORWARD -d 192.0.2.1/32 -j DROP\n-A FORWARD -j DROP\n" ACCEPTS
		       "COMMIT\n",
		OPENING "-D FORWARD 1\n-I FORWARD 2 -j VPROX\nCOMMIT\n");
}

static void what_is_in_its_place_is_left_alone(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD DROP [0:0]\n:VPROX - [0:0]\n-A FORWARD -i lo -j DROP\n"
		       "-A FORWARD -j VPROX\n" ACCEPTS "COMMIT\n",
		"");
}

static void a_chain_that_was_opened_by_others_needs_ours_no_more(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD ACCEPT [0:0]\n:VPROX - [0:0]\n"
		       "-A FORWARD -j VPROX\n" ACCEPTS "COMMIT\n",
		"*filter\n-D FORWARD 1\n-F VPROX\n-X VPROX\nCOMMIT\n");
}

static void an_open_forward_chain_is_left_alone(void **state)
{
	(void)state;
	assert_opening("", "");
	assert_opening("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n"
		       "-A FORWARD -i eth0 -j DROP\nCOMMIT\n",
		"");
	assert_opening("*mangle\n:FORWARD DROP [0:0]\nCOMMIT\n", "");
}

static void what_an_earlier_server_left_is_written_anew_with_one_jump(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD DROP [0:0]\n:VPROX - [0:0]\n"
		       "-A FORWARD -j VPROX\n-A VPROX -i vprox7 -j ACCEPT\nCOMMIT\n",
		OPENING "-D FORWARD 1\n-A FORWARD -j VPROX\nCOMMIT\n");
}

static void closing_removes_every_jump_and_the_chain(void **state)
{
	(void)state;
	assert_closing("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", "");
	assert_closing("*filter\n:FORWARD DROP [0:0]\n:VPROX - [0:0]\n"
		       "-A FORWARD -j VPROX\n-A FORWARD -j VPROX\nCOMMIT\n",
		"*filter\n-D FORWARD 2\n-D FORWARD 1\n-F VPROX\n-X VPROX\nCOMMIT\n");
	assert_closing("*nat\n:VPROX - [0:0]\nCOMMIT\n", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closed_forward_chain_is_opened_where_it_drops),
		cmocka_unit_test(the_interface_that_ipip_peers_share_is_let_through),
		cmocka_unit_test(a_chain_that_rejects_is_noticed_behind_a_jump),
		cmocka_unit_test(what_would_override_somebody_is_told_apart),
		cmocka_unit_test(a_jump_that_was_overtaken_is_moved),
		cmocka_unit_test(what_is_in_its_place_is_left_alone),
		cmocka_unit_test(a_chain_that_was_opened_by_others_needs_ours_no_more),
		cmocka_unit_test(an_open_forward_chain_is_left_alone),
		cmocka_unit_test(what_an_earlier_server_left_is_written_anew_with_one_jump),
		cmocka_unit_test(closing_removes_every_jump_and_the_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
