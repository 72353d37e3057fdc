#include "test.h"

#include <arpa/inet.h>

#include "device/wireguard/ratelimiter.h"

enum { START = 1000, TOKEN_MS = 1000 / RATELIMITER_PER_SECOND };

static struct udp_endpoint four(uint32_t address, uint16_t port)
{
	return (struct udp_endpoint){.v4 = {.sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(address),
					     .sin_port = htons(port)}};
}

static struct udp_endpoint six(const char *text)
{
	struct udp_endpoint endpoint = {.v6 = {.sin6_family = AF_INET6}};

	assert_int_equal(inet_pton(AF_INET6, text, &endpoint.v6.sin6_addr), 1);
	return endpoint;
}

static int set_up(void **state)
{
	*state = ratelimiter_new(1024);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	ratelimiter_free(*state);
	return 0;
}

/* How many of n at one moment are let through. */
static int allowed(void *limiter, struct udp_endpoint source, int n, uint64_t now)
{
	int count = 0;

	for (int i = 0; i < n; i++)
		count += ratelimiter_allow(limiter, &source, now);
	return count;
}

static void a_source_has_a_burst_and_then_so_many_a_second(void **state)
{
	int count = 0;

	assert_int_equal(allowed(*state, four(1, 1), 100, START), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, four(1, 1), 100, START + TOKEN_MS - 1), 0);
	assert_int_equal(allowed(*state, four(1, 1), 100, START + TOKEN_MS), 1);
	for (uint64_t now = START + 1000; now < START + 11000; now++)
		count += allowed(*state, four(1, 1), 1, now);
	assert_in_range(count, 10 * RATELIMITER_PER_SECOND,
		10 * RATELIMITER_PER_SECOND + RATELIMITER_BURST);
	assert_int_equal(allowed(*state, four(1, 1), 100, START + 1000000), RATELIMITER_BURST);
}

static void ports_of_an_address_share_and_addresses_do_not(void **state)
{
	assert_int_equal(allowed(*state, four(1, 1), 3, START), 3);
	assert_int_equal(allowed(*state, four(1, 2), 100, START), RATELIMITER_BURST - 3);
	assert_int_equal(allowed(*state, four(2, 1), 100, START), RATELIMITER_BURST);
}

static void an_ipv6_source_is_its_64_bit_network(void **state)
{
	assert_int_equal(allowed(*state, six("2001:db8:0:1::1"), 100, START), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, six("2001:db8:0:1:ffff::2"), 100, START), 0);
	assert_int_equal(allowed(*state, six("2001:db8:0:2::1"), 100, START), RATELIMITER_BURST);
	/* An IPv4 address is no IPv6 network. */
	assert_int_equal(allowed(*state, six("::"), 100, START), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, four(0, 0), 100, START), RATELIMITER_BURST);
}

static void what_has_no_address_is_refused(void **state)
{
	struct udp_endpoint none = {.family = AF_UNSPEC};

	assert_int_equal(allowed(*state, none, 1, START), 0);
}

static void a_flood_from_many_sources_does_not_lock_others_out(void **state)
{
	for (uint32_t i = 0; i < 100000; i++)
		allowed(*state, four(i, 1), 2, START);
	for (uint32_t i = 200000; i < 200100; i++)
		assert_true(allowed(*state, four(i, 1), 1, START) == 1);
}

static void a_source_that_floods_is_not_forgotten_for_others_that_do_not(void **state)
{
	/* About a quarter of the room. */
	assert_int_equal(allowed(*state, four(7, 1), 100, START), RATELIMITER_BURST);
	for (uint32_t i = 100; i < 356; i++)
		allowed(*state, four(i, 1), 1, START);
	assert_int_equal(allowed(*state, four(7, 1), 100, START + TOKEN_MS - 1), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_source_has_a_burst_and_then_so_many_a_second),
		test(ports_of_an_address_share_and_addresses_do_not),
		test(an_ipv6_source_is_its_64_bit_network),
		test(what_has_no_address_is_refused),
		test(a_flood_from_many_sources_does_not_lock_others_out),
		test(a_source_that_floods_is_not_forgotten_for_others_that_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
