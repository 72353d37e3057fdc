#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "client/diagnosis.h"

#define NS_PER_S UINT64_C(1000000000)

static struct diagnosis wireguard(uint64_t since_s, uint64_t handshake_s)
{
	return (struct diagnosis){.kind = TUNNEL_WIREGUARD,
		.tunnel = {.server = {0xcb007107}, .local = {0xc000020b}, .port = 50227},
		.since_ns = since_s * NS_PER_S,
		.handshake_ns = handshake_s * NS_PER_S};
}

static bool is_alive(struct diagnosis diagnosis, uint64_t now_s)
{
	return diagnosis_is_alive(&diagnosis, now_s * NS_PER_S);
}

static void a_handshake_of_this_tunnel_is_a_sign_of_life_for_as_long_as_its_keys_are_good(
	void **state)
{
	(void)state;
	assert_true(is_alive(wireguard(1000, 1001), 1006));
	assert_true(is_alive(wireguard(1000, 1001), 1180));
	assert_false(is_alive(wireguard(1000, 1001), 1181));
	assert_false(is_alive(wireguard(1000, 0), 1006));
}

static void a_handshake_of_the_tunnel_before_or_of_a_time_to_come_is_none(void **state)
{
	(void)state;
	assert_false(is_alive(wireguard(1000, 999), 1006));
	assert_false(is_alive(wireguard(1000, 2000), 1006));
}

static void where_something_has_answered_a_handshake_does_not_do(void **state)
{
	struct diagnosis diagnosis = wireguard(1000, 1001);

	(void)state;
	diagnosis.has_answered = true;
	assert_false(is_alive(diagnosis, 1006));
}

static void the_address_is_read_from_what_the_server_says_and_from_nothing_else(void **state)
{
	static const char *const others[] = {"", "vprox ok. received ", "ok",
		"vprox ok. received 192.0.2.300:1 -> 203.0.113.7:443",
		"vprox ok. received [2001:db8::1]:1 -> 203.0.113.7:443",
		"vprox ok. received 192.0.2.11192.0.2.11:1", "Vprox ok. received 192.0.2.11:1"};

	(void)state;
	assert_int_equal(
		diagnosis_parse_seen("vprox ok. received 192.0.2.11:40000 -> 203.0.113.7:443")
			.value,
		0xc000020b);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(diagnosis_parse_seen(others[i]).value, 0);
}

static const char *text_of(const struct diagnosis *diagnosis)
{
	static char text[512];

	diagnosis_write(diagnosis, text, sizeof text);
	return text;
}

static void each_case_is_told_from_the_others(void **state)
{
	struct diagnosis diagnosis = wireguard(1000, 0);

	(void)state;
	assert_non_null(strstr(text_of(&diagnosis), "UDP port 50227 of 203.0.113.7 open"));
	diagnosis.handshake_ns = 1001 * NS_PER_S;
	assert_string_equal(text_of(&diagnosis), "no echo comes back through the tunnel");
	diagnosis = wireguard(1000, 0);
	diagnosis.kind = TUNNEL_IPIP;
	assert_true(diagnosis_wants_to_ask(&diagnosis));
	assert_non_null(
		strstr(text_of(&diagnosis), "protocol 4 open from 192.0.2.11 to 203.0.113.7"));
	diagnosis.seen = diagnosis.tunnel.local;
	assert_non_null(strstr(text_of(&diagnosis), "protocol 4 open"));
	diagnosis.seen = (struct ipv4){0xc6336409};
	assert_non_null(strstr(text_of(&diagnosis), "sees 198.51.100.9, not 192.0.2.11"));
	diagnosis.has_answered = true;
	assert_string_equal(text_of(&diagnosis), "no echo comes back through the tunnel");
	assert_false(diagnosis_wants_to_ask(&diagnosis));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_handshake_of_this_tunnel_is_a_sign_of_life_for_as_long_as_its_keys_are_good),
		cmocka_unit_test(a_handshake_of_the_tunnel_before_or_of_a_time_to_come_is_none),
		cmocka_unit_test(where_something_has_answered_a_handshake_does_not_do),
		cmocka_unit_test(
			the_address_is_read_from_what_the_server_says_and_from_nothing_else),
		cmocka_unit_test(each_case_is_told_from_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
