/* The judgement of what is there in the data plane. */
#include "test.h"

#include <stdio.h>

#include "base/log.h"
#include "fake_plane.h"
#include "server/adoption.h"
#include "server/endpoint.h"
#include "server/judgement.h"

static const struct ipv4 bind_address = {0xcb007101}; /* 203.0.113.1 */
static const struct ipv4 other_address = {0xcb007102};

struct fixture {
	struct fake_plane fake;
	struct endpoint endpoint;
};

static int setup(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	f = (struct fixture){0};
	fake_plane_init(&f.fake);
	f.endpoint = (struct endpoint){
		.config = {.bind = bind_address},
		.plane = &f.fake.plane,
		.clock = &system_clock,
	};
	prefix_parse("10.0.0.0/24", &f.endpoint.config.block);
	f.endpoint.config.gateway = pool_gateway(f.endpoint.config.block);
	*state = &f;
	return endpoint_open(&f.endpoint, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	endpoint_close(&f->endpoint, false);
	return 0;
}

/* As add() makes them. */
static struct plane_found found_wireguard(const char *inner)
{
	struct plane_found found = {.peer = {.kind = PEER_WIREGUARD, .key = {{1}}}};

	assert_int_equal(ipv4_parse(inner, &found.peer.inner), 0);
	return found;
}

static struct plane_found found_ipip(const char *inner)
{
	struct plane_found found = found_wireguard(inner);

	found.peer.kind = PEER_IPIP;
	found.peer.remote.value = 0xc6336407; /* 198.51.100.7 */
	found.local = bind_address;
	found.routed = found.peer.inner;
	return found;
}

static void assert_stays(void **state, struct plane_found found)
{
	const struct fixture *f = *state;

	assert_string_equal(judge_found(&f->endpoint, &found).fault, "");
}

static void assert_goes(void **state, struct plane_found found, const char *why)
{
	const struct fixture *f = *state;

	assert_string_equal(judge_found(&f->endpoint, &found).fault, why);
}

static void a_peer_with_one_address_of_the_block_stays(void **state)
{
	assert_stays(state, found_wireguard("10.0.0.2"));
	assert_stays(state, found_wireguard("10.0.0.254"));
	assert_stays(state, found_ipip("10.0.0.2"));
}

static void a_peer_without_exactly_one_address_goes(void **state)
{
	assert_goes(state, found_wireguard("0.0.0.0"), "it has not exactly one address");
	assert_goes(state, found_ipip("0.0.0.0"), "it has not exactly one address");
}

static void a_peer_with_an_address_that_is_never_given_out_goes(void **state)
{
	static const char *const addresses[] = {
		"10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.1.2", "9.255.255.255", "203.0.113.1"};

	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		char why[128];

		snprintf(
			why, sizeof why, "%s is no address of a peer in 10.0.0.0/24", addresses[i]);
		assert_goes(state, found_wireguard(addresses[i]), why);
		assert_goes(state, found_ipip(addresses[i]), why);
	}
}

static void a_tunnel_from_another_address_goes(void **state)
{
	struct plane_found found = found_ipip("10.0.0.2");

	found.local = other_address;
	assert_goes(state, found, "its local address is 203.0.113.2");
}

static void a_tunnel_to_anybody_goes(void **state)
{
	struct plane_found found = found_ipip("10.0.0.2");

	found.peer.remote.value = 0;
	assert_goes(state, found, "it has no remote address");
}

static void a_tunnel_that_only_another_inner_address_is_routed_to_goes(void **state)
{
	struct plane_found found = found_ipip("10.0.0.2");

	found.routed.value++;
	assert_goes(state, found, "its route is to 10.0.0.3, not to 10.0.0.2");
}

static void a_tunnel_without_a_route_stays_to_be_given_one(void **state)
{
	struct plane_found found = found_ipip("10.0.0.2");

	found.routed.value = 0;
	assert_stays(state, found);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(a_peer_with_one_address_of_the_block_stays),
		RULE(a_peer_without_exactly_one_address_goes),
		RULE(a_peer_with_an_address_that_is_never_given_out_goes),
		RULE(a_tunnel_from_another_address_goes),
		RULE(a_tunnel_to_anybody_goes),
		RULE(a_tunnel_that_only_another_inner_address_is_routed_to_goes),
		RULE(a_tunnel_without_a_route_stays_to_be_given_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
