#include "test.h"

#include <errno.h>

#include "client/grant.h"

#define KEY "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static struct tunnel tunnel;

static int parse(const char *text, enum tunnel_kind kind)
{
	tunnel = (struct tunnel){0};
	return grant_parse(text, strlen(text), kind, &tunnel);
}

static void a_wireguard_grant_has_address_key_and_port(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"AssignedAddr\":\"10.100.0.2/16\",\"ServerPublicKey\":\"" KEY
			       "\",\"ServerListenPort\":50227,\"More\":[]}\n",
				 TUNNEL_WIREGUARD),
		0);
	assert_int_equal(tunnel.inner.value, 0x0a640002);
	assert_int_equal(tunnel.length, 16);
	assert_int_equal(tunnel.port, 50227);
	assert_int_equal(tunnel.server_key.bytes[0], 1);
}

static void an_ipip_grant_has_an_address(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"AssignedAddr\":\"240.1.2.3/4\"}", TUNNEL_IPIP), 0);
	assert_int_equal(tunnel.inner.value, 0xf0010203);
	assert_int_equal(tunnel.length, 4);
	assert_int_equal(tunnel.port, 0);
}

static void name_servers_are_read_but_for_what_can_be_none(void **state)
{
	static const char text[] =
		"{\"AssignedAddr\":\"10.0.0.2/16\",\"DNS\":[\"127.0.0.1\",\"9.9.9.9\",17,"
		"\"169.254.169.254\",\"9.9.9.9\",\"224.0.0.251\",\"0.0.0.0\",\"name\",\"::1\","
		"\"10.0.0.1\",\"1.1.1.1\",\"8.8.8.8\"]}";
	static const char *const none[] = {"{}", "", "{\"DNS\":\"9.9.9.9\"}", "{\"DNS\":{}}"};
	struct resolvers resolvers;

	(void)state;
	grant_parse_resolvers(text, strlen(text), &resolvers);
	assert_string_equal(resolvers_text(&resolvers).s, "9.9.9.9 10.0.0.1 1.1.1.1");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		grant_parse_resolvers(none[i], strlen(none[i]), &resolvers);
		assert_int_equal(resolvers.n, 0);
	}
}

static void what_is_no_grant_is_refused(void **state)
{
	static const char *const bad[] = {"", "null", "[]", "{}", "{\"AssignedAddr\":1}",
		"{\"AssignedAddr\":\"10.0.0.2\"}", "{\"AssignedAddr\":\"10.0.0.2/33\"}",
		"{\"AssignedAddr\":\"10.0.0.2/16 \"}", "{\"AssignedAddr\":\"::1/16\"}",
		"{\"AssignedAddr\":\"10.0.0.2/16\"} {", "{\"AssignedAddr\":\"10.0.0.2/16\""};
	static const char *const incomplete[] = {
		"{\"AssignedAddr\":\"10.0.0.2/16\"}",
		"{\"AssignedAddr\":\"10.0.0.2/16\",\"ServerPublicKey\":\"" KEY "\"}",
		"{\"AssignedAddr\":\"10.0.0.2/16\",\"ServerPublicKey\":\"AA==\","
		"\"ServerListenPort\":1}",
		"{\"AssignedAddr\":\"10.0.0.2/16\",\"ServerPublicKey\":\"" KEY
		"\",\"ServerListenPort\":0}",
		"{\"AssignedAddr\":\"10.0.0.2/16\",\"ServerPublicKey\":\"" KEY
		"\",\"ServerListenPort\":65536}",
		"{\"AssignedAddr\":\"10.0.0.2/16\",\"ServerPublicKey\":\"" KEY
		"\",\"ServerListenPort\":\"1\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(bad[i], TUNNEL_IPIP), -EBADMSG);
	for (size_t i = 0; i < sizeof incomplete / sizeof *incomplete; i++)
		assert_int_equal(parse(incomplete[i], TUNNEL_WIREGUARD), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wireguard_grant_has_address_key_and_port),
		cmocka_unit_test(an_ipip_grant_has_an_address),
		cmocka_unit_test(name_servers_are_read_but_for_what_can_be_none),
		cmocka_unit_test(what_is_no_grant_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
