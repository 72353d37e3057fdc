/* What the text of the block has, and when. */
#include "test.h"

#include <string.h>

#include "base/cleanup.h"
#include "client/block_text.h"

static struct client_config config;
static struct block_state state;

static int begin(void **context)
{
	static const struct address_range all = {{0}, {UINT32_MAX}};

	(void)context;
	config = (struct client_config){.interface = "vprox0", .n_routes = 1}; /* 0.0.0.0/0 */
	state = (struct block_state){.config = &config, .ranges = &all, .n_ranges = 1};
	return 0;
}

static bool has(const char *part)
{
	auto_free char *text = block_text(&state);

	assert_non_null(text);
	return strstr(text, part) != NULL;
}

/* The name ipip is another protocol's in Debian's /etc/protocols, 94. */
static void outer_packets_of_ipip_pass_by_their_number(void **context)
{
	(void)context;
	assert_false(has("ip protocol"));
	state.ipip_server = (struct ipv4){0xcb007107};
	assert_true(has("ip daddr 203.0.113.7 ip protocol 4 accept"));
	state.tracks = true;
	assert_false(has("protocol ip"));
}

/* The client looks its server up by sockets that are marked. */
static void no_question_for_a_name_passes_as_such(void **context)
{
	(void)context;
	assert_false(has("dport 53"));
}

static void ipv6_is_blocked_with_all_of_ipv4_alone(void **context)
{
	static const char rest[] = "meta nfproto ipv6 accept";

	(void)context;
	assert_false(has(rest));
	state.tracks = true;
	assert_true(has("ip6 saddr != fe80::/10 ct direction original ct mark set"));
	assert_true(has("ip6 daddr fc00::/7 ct direction original ct status dnat ct mark and"));
	config.ipv6 = IPV6_LEAVE;
	assert_false(has("ip6 saddr"));
	assert_true(has(rest));
	config.ipv6 = IPV6_BLOCK;
	config.routes[0].length = 8;
	assert_true(has(rest));
}

static void without_tracking_it_asks_for_none(void **context)
{
	(void)context;
	assert_false(has("\tct "));
	state.tracks = true;
	assert_true(has("ct mark"));
}

/* A kernel fills sets of intervals last. */
static void nothing_passes_because_it_is_not_in_a_set(void **context)
{
	(void)context;
	state.tracks = true;
	assert_false(has("!= @blocked"));
	assert_true(has("ip daddr @open accept"));
}

static void what_is_not_blocked_is_open(void **context)
{
	static const struct address_range some[] = {
		{{0}, {0x09ffffff}}, {{0x0b000000}, {0x0b000000}}, {{0x0b000002}, {UINT32_MAX}}};

	(void)context;
	assert_false(has("set open {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements"));
	state.ranges = some;
	state.n_ranges = 3;
	assert_true(has("{ 0.0.0.0-9.255.255.255, 11.0.0.0, 11.0.0.2-255.255.255.255 }"));
	assert_true(has("{ 10.0.0.0-10.255.255.255, 11.0.0.1 }"));
	state.ranges = some + 1;
	state.n_ranges = 1;
	assert_true(has("{ 0.0.0.0-10.255.255.255, 11.0.0.1-255.255.255.255 }"));
	state.n_ranges = 0;
	assert_true(has("{ 0.0.0.0-255.255.255.255 }"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(outer_packets_of_ipip_pass_by_their_number, begin),
		cmocka_unit_test_setup(no_question_for_a_name_passes_as_such, begin),
		cmocka_unit_test_setup(ipv6_is_blocked_with_all_of_ipv4_alone, begin),
		cmocka_unit_test_setup(without_tracking_it_asks_for_none, begin),
		cmocka_unit_test_setup(nothing_passes_because_it_is_not_in_a_set, begin),
		cmocka_unit_test_setup(what_is_not_blocked_is_open, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
