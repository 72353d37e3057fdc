/* The client's rules and routes, in a network namespace of the test's own. */
#include "test.h"

#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "client/ip_routes.h"
#include "netlink/rule.h"
#include "netlink/socket.h"

enum {
	KERNELS_RULES = 3, /* local, main, default */
	NO_INTERFACE = 999,
};

static const struct ipv4 server = {0xcb007107}; /* 203.0.113.7 */
static struct event_base *base;
static struct netlink *netlink;
static unsigned int ifindex;

static struct client_config config_of(const char *interface)
{
	/* the zero one is 0.0.0.0/0 */
	return (struct client_config){.interface = interface, .n_routes = 1};
}

static int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	if (!base)
		return -1;
	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	if (netlink_open(NETLINK_ROUTE, &netlink) < 0 ||
		system("ip link add test0 type veth peer name test1 && ip link set test0 up") != 0)
		return -1;
	ifindex = if_nametoindex("test0");
	return ifindex ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	netlink_close(netlink);
	event_base_free(base);
	return 0;
}

static void skip_without_rights(void)
{
	if (!netlink)
		skip();
}

static struct rule *dump(size_t *n)
{
	struct rule *rules;

	assert_int_equal(rule_dump(netlink, &rules, n), 0);
	return rules;
}

static size_t count_rules(void)
{
	size_t n;

	free(dump(&n));
	return n;
}

static void all_rules_are_taken_back(void **state)
{
	struct client_config config = config_of("vprox0");
	struct ip_routes *routes;

	(void)state;
	skip_without_rights();
	assert_int_equal(ip_routes_open(base, &config, &routes), 0);
	assert_int_equal(ip_routes_set(routes, ifindex, server), 0);
	assert_int_equal(ip_routes_set(routes, ifindex, server), 0);
	assert_true(count_rules() > KERNELS_RULES);
	ip_routes_close(routes, false);
	assert_int_equal(count_rules(), KERNELS_RULES);
}

/* Routes through an interface that is gone are the same as a kill before them. */
static void a_client_that_came_half_way_is_cleared_up_after(void **state)
{
	struct client_config config = config_of("vprox0");
	struct ip_routes *routes;

	(void)state;
	skip_without_rights();
	assert_int_equal(ip_routes_open(base, &config, &routes), 0);
	assert_true(ip_routes_set(routes, NO_INTERFACE, server) < 0);
	ip_routes_close(routes, true);
	assert_true(count_rules() > KERNELS_RULES);
	assert_int_equal(ip_routes_open(base, &config, &routes), 0);
	ip_routes_close(routes, true);
	assert_int_equal(count_rules(), KERNELS_RULES);
}

static void what_goes_to_the_server_meets_the_hosts_own_rules(void **state)
{
	struct client_config config = config_of("vprox0");
	auto_free struct rule *rules = NULL;
	uint32_t target = 0;
	struct ip_routes *routes;
	size_t n;

	(void)state;
	skip_without_rights();
	assert_int_equal(ip_routes_open(base, &config, &routes), 0);
	assert_int_equal(ip_routes_set(routes, ifindex, server), 0);
	rules = dump(&n);
	for (size_t i = 0; i < n; i++)
		if (rules[i].to.length == 32 && rules[i].action == FR_ACT_GOTO)
			target = rules[i].target;
	for (size_t i = 0; i < n; i++)
		assert_true(rules[i].priority <= target || rules[i].protocol == RTPROT_KERNEL);
	assert_true(target > 0);
	ip_routes_close(routes, false);
}

static void two_clients_that_start_at_once_do_not_share_rules(void **state)
{
	struct client_config config = config_of("vprox0"), other_config = config_of("vprox1");
	struct ip_routes *routes, *other;
	size_t n;

	(void)state;
	skip_without_rights();
	assert_int_equal(ip_routes_open(base, &config, &routes), 0);
	assert_int_equal(ip_routes_open(base, &other_config, &other), 0);
	assert_int_equal(ip_routes_set(routes, ifindex, server), 0);
	n = count_rules();
	assert_int_equal(ip_routes_set(other, ifindex, server), 0);
	ip_routes_close(routes, false);
	assert_int_equal(count_rules(), n);
	ip_routes_close(other, false);
	assert_int_equal(count_rules(), KERNELS_RULES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rules_are_taken_back),
		cmocka_unit_test(a_client_that_came_half_way_is_cleared_up_after),
		cmocka_unit_test(what_goes_to_the_server_meets_the_hosts_own_rules),
		cmocka_unit_test(two_clients_that_start_at_once_do_not_share_rules),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
