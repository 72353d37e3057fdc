#include "test.h"

#include "client/tunnel.h"

static struct tunnel tunnel_of(const char *inner, uint8_t length)
{
	struct tunnel tunnel = {.length = length, .port = 50227, .server_key = {{9}}};

	assert_int_equal(ipv4_parse(inner, &tunnel.inner), 0);
	assert_int_equal(ipv4_parse("203.0.113.7", &tunnel.server), 0);
	assert_int_equal(ipv4_parse("192.0.2.11", &tunnel.local), 0);
	return tunnel;
}

static void the_gateway_is_the_blocks_first_host(void **state)
{
	struct tunnel tunnel = tunnel_of("10.100.3.2", 16);

	(void)state;
	assert_string_equal(ipv4_text(tunnel_gateway(&tunnel)).s, "10.100.0.1");
	assert_string_equal(prefix_text(tunnel_block(&tunnel)).s, "10.100.0.0/16");
	assert_null(tunnel_fault(&tunnel, TUNNEL_WIREGUARD));
}

static void a_server_cannot_take_over_what_is_not_its_own(void **state)
{
	static const struct {
		const char *inner;
		uint8_t length;
	} bad[] = {{"10.0.0.2", 7}, {"10.0.0.2", 0}, {"10.0.0.2", 31}, {"10.0.0.2", 32},
		{"10.0.0.2", 255}, {"127.0.0.2", 8}, {"0.0.0.2", 8}, {"224.0.0.2", 8},
		{"239.1.1.2", 24}, {"10.0.0.0", 24}, {"10.0.0.1", 24}, {"10.0.0.255", 24},
		{"203.0.113.9", 24}, {"192.0.2.9", 24}, {"169.254.169.9", 16}, {"169.254.0.2", 8},
		{"169.255.0.2", 15}, {"240.0.0.2", 8}, {"255.0.0.2", 24}};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tunnel tunnel = tunnel_of(bad[i].inner, bad[i].length);

		assert_non_null(tunnel_fault(&tunnel, TUNNEL_IPIP));
	}
}

static void wireguard_needs_a_port_and_a_key(void **state)
{
	struct tunnel tunnel = tunnel_of("10.0.0.2", 24);

	(void)state;
	tunnel.port = 0;
	assert_non_null(tunnel_fault(&tunnel, TUNNEL_WIREGUARD));
	assert_null(tunnel_fault(&tunnel, TUNNEL_IPIP));
	tunnel.port = 1;
	tunnel.server_key = (struct key){0};
	assert_non_null(tunnel_fault(&tunnel, TUNNEL_WIREGUARD));
}

static void tunnels_differ_in_any_field(void **state)
{
	const struct tunnel one = tunnel_of("10.0.0.2", 24);

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct tunnel other = one;

		assert_true(tunnel_equal(&one, &other));
		other.inner.value ^= i == 0;
		other.length = (uint8_t)(other.length + (i == 1));
		other.server.value ^= i == 2;
		other.local.value ^= i == 3;
		other.server_key.bytes[0] = (uint8_t)(other.server_key.bytes[0] + (i == 4));
		other.port = (uint16_t)(other.port + (i == 5));
		assert_false(tunnel_equal(&one, &other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_gateway_is_the_blocks_first_host),
		cmocka_unit_test(a_server_cannot_take_over_what_is_not_its_own),
		cmocka_unit_test(wireguard_needs_a_port_and_a_key),
		cmocka_unit_test(tunnels_differ_in_any_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
