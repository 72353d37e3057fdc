#include "addresses.h"

#include <linux/rtnetlink.h>

#include "client/kept_routes.h"
#include "client/mark.h"
#include "netlink/route.h"

enum {
	OURS = 7, /* interfaces */
	ETHERNET = 2,
};

static struct client_config config;
static struct kept_routes kept;

static struct route route(const char *destination, uint8_t scope, uint8_t protocol)
{
	return (struct route){.destination = prefix(destination),
		.scope = scope,
		.protocol = protocol,
		.oif = ETHERNET};
}

static int begin(void **state)
{
	(void)state;
	config = (struct client_config){.n_routes = 1}; /* 0.0.0.0/0 */
	config.no_default_exceptions = true;
	return 0;
}

static int end(void **state)
{
	(void)state;
	kept_routes_free(&kept);
	return 0;
}

static bool keeps(const struct route *one)
{
	kept_routes_free(&kept);
	assert_int_equal(kept_routes_choose(&config, one, 1, OURS, &kept), 0);
	return kept.n_kept == 1;
}

static void connected_networks_and_ways_to_private_ones_stay(void **state)
{
	const struct route staying[] = {
		route("198.51.100.0/24", RT_SCOPE_LINK, RTPROT_KERNEL),
		route("198.51.0.0/16", RT_SCOPE_LINK, RTPROT_KERNEL),
		route("10.0.0.0/8", RT_SCOPE_LINK, RTPROT_STATIC),
		route("10.0.0.0/8", RT_SCOPE_UNIVERSE, RTPROT_DHCP),
		route("192.168.7.0/24", RT_SCOPE_UNIVERSE, RTPROT_BOOT),
	};

	(void)state;
	for (size_t i = 0; i < sizeof staying / sizeof *staying; i++) {
		assert_true(keeps(&staying[i]));
		assert_int_equal(kept.n_passed_over, 0);
	}
}

/* Each of these could come from whoever answers DHCP. */
static void other_routes_do_not_count_and_are_named(void **state)
{
	const struct route passed_over[] = {
		route("0.0.0.0/1", RT_SCOPE_UNIVERSE, RTPROT_DHCP),
		route("198.51.100.0/24", RT_SCOPE_UNIVERSE, RTPROT_BOOT),
		route("198.51.100.0/24", RT_SCOPE_LINK, RTPROT_DHCP),
		route("128.0.0.0/1", RT_SCOPE_LINK, RTPROT_KERNEL),
		route("8.0.0.0/6", RT_SCOPE_UNIVERSE, RTPROT_BOOT),
	};

	(void)state;
	for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++) {
		assert_false(keeps(&passed_over[i]));
		assert_int_equal(kept.n_passed_over, 1);
	}
}

static void defaults_and_clients_own_routes_are_neither(void **state)
{
	struct route neither[] = {
		route("0.0.0.0/0", RT_SCOPE_UNIVERSE, RTPROT_DHCP),
		route("10.100.0.1/32", RT_SCOPE_LINK, CLIENT_PROTOCOL),
		route("10.100.0.0/16", RT_SCOPE_LINK, RTPROT_KERNEL),
	};

	(void)state;
	neither[2].oif = OURS;
	for (size_t i = 0; i < sizeof neither / sizeof *neither; i++) {
		assert_false(keeps(&neither[i]));
		assert_int_equal(kept.n_passed_over, 0);
	}
}

static void what_no_route_covers_is_of_no_interest(void **state)
{
	const struct route elsewhere = route("10.0.0.0/8", RT_SCOPE_UNIVERSE, RTPROT_BOOT);
	const struct route wider = route("172.16.0.0/12", RT_SCOPE_UNIVERSE, RTPROT_BOOT);

	(void)state;
	config.routes[0] = prefix("172.16.5.0/24");
	assert_false(keeps(&elsewhere));
	assert_false(keeps(&wider));
	assert_int_equal(kept.n_passed_over, 0);
}

static void exceptions_are_kept_once_and_explain_a_route(void **state)
{
	const struct route same = route("0.0.0.0/1", RT_SCOPE_UNIVERSE, RTPROT_DHCP);

	(void)state;
	config.no_default_exceptions = false;
	config.exceptions[0] = config.exceptions[1] = prefix("0.0.0.0/1");
	config.n_exceptions = 2;
	kept_routes_free(&kept);
	assert_int_equal(kept_routes_choose(&config, &same, 1, OURS, &kept), 0);
	assert_int_equal(kept.n_kept, 3);
	assert_string_equal(prefix_text(kept.kept[0]).s, "0.0.0.0/1");
	assert_string_equal(prefix_text(kept.kept[1]).s, "169.254.0.0/16");
	assert_string_equal(prefix_text(kept.kept[2]).s, "168.63.129.16/32");
	assert_int_equal(kept.n_passed_over, 0);
	assert_true(kept_routes_has(&kept, prefix("0.0.0.0/1")));
	assert_false(kept_routes_has(&kept, prefix("0.0.0.0/2")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			connected_networks_and_ways_to_private_ones_stay, begin, end),
		cmocka_unit_test_setup_teardown(
			other_routes_do_not_count_and_are_named, begin, end),
		cmocka_unit_test_setup_teardown(
			defaults_and_clients_own_routes_are_neither, begin, end),
		cmocka_unit_test_setup_teardown(what_no_route_covers_is_of_no_interest, begin, end),
		cmocka_unit_test_setup_teardown(
			exceptions_are_kept_once_and_explain_a_route, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
