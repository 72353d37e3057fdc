#include "test.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "host/host_config.h"
#include "host/legacy_firewall.h"

#define OPENING                                                                                    \
	"*filter\n:VPROX - [0:0]\n"                                                                \
	"-A VPROX -i vprox2 -j ACCEPT\n-A VPROX -i vp2-+ -j ACCEPT\n"                              \
	"-A VPROX -o vprox2 -j ACCEPT\n-A VPROX -o vp2-+ -j ACCEPT\n"

static void assert_opening(const char *saved, const char *expected)
{
	static const struct host_endpoint endpoint = {.index = 2};
	static const struct host_config config = {.endpoints = &endpoint, .n_endpoints = 1};
	auto_free char *batch = legacy_firewall_opening(saved, &config);

	assert_string_equal(batch, expected);
}

static void assert_closing(const char *saved, const char *expected)
{
	auto_free char *batch = legacy_firewall_closing(saved);

	assert_string_equal(batch, expected);
}

static void a_closed_forward_chain_is_opened(void **state)
{
	(void)state;
	assert_opening("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n",
		OPENING "-I FORWARD 1 -j VPROX\nCOMMIT\n");
	assert_opening("*filter\n:FORWARD ACCEPT [0:0]\n"
		       "-A FORWARD -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n",
		OPENING "-I FORWARD 1 -j VPROX\nCOMMIT\n");
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
		OPENING "COMMIT\n");
}

static void closing_removes_every_jump_and_the_chain(void **state)
{
	(void)state;
	assert_closing("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", "");
	assert_closing("*filter\n:FORWARD DROP [0:0]\n:VPROX - [0:0]\n"
		       "-A FORWARD -j VPROX\n-A FORWARD -j VPROX\nCOMMIT\n",
		"*filter\n-D FORWARD -j VPROX\n-D FORWARD -j VPROX\n-F VPROX\n-X "
		"VPROX\nCOMMIT\n");
	assert_closing("*nat\n:VPROX - [0:0]\nCOMMIT\n", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closed_forward_chain_is_opened),
		cmocka_unit_test(an_open_forward_chain_is_left_alone),
		cmocka_unit_test(what_an_earlier_server_left_is_written_anew_with_one_jump),
		cmocka_unit_test(closing_removes_every_jump_and_the_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
