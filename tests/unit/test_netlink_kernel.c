/* The netlink room against the kernel itself, in a network namespace of the test's own. */
#include "addresses.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fib_rules.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/link_monitor.h"
#include "netlink/monitor.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/socket.h"
#include "netlink/stats.h"

/* Who added what the tests add. */
enum {
	TEST_PROTOCOL = 187,
	TEST_TABLE = 51820,
	TEST_GROUP = 4711,
};

struct fixture {
	struct netlink *netlink;
	unsigned int ifindex; /* of a veth that is up */
};

static int set_up(void **state)
{
	static struct fixture fixture;

	*state = &fixture;
	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	if (netlink_open(NETLINK_ROUTE, &fixture.netlink) < 0)
		return -1;
	if (system("ip link add test0 type veth peer name test1 && ip link set test0 up && "
		   "ip link set test1 up") != 0)
		return -1;
	fixture.ifindex = if_nametoindex("test0");
	return fixture.ifindex ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	netlink_close(fixture->netlink);
	return 0;
}

/* The fixture, or the end of the test where no namespace could be made. */
static struct fixture *fixture_or_skip(void **state)
{
	struct fixture *fixture = *state;

	if (!fixture->netlink)
		skip();
	return fixture;
}

static void an_address_keeps_its_lifetime_protocol_and_label(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct address wanted = {.ifindex = f->ifindex,
		.local = ipv4("192.0.2.1"),
		.prefix_length = 32,
		.protocol = TEST_PROTOCOL,
		.valid_s = 60,
		.preferred_s = 60,
		.label = "test0:x"};
	auto_free struct address *found = NULL;
	size_t n;

	assert_int_equal(address_add(f->netlink, &wanted), 0);
	assert_int_equal(address_add(f->netlink, &wanted), -EEXIST);
	assert_int_equal(address_dump(f->netlink, f->ifindex, &found, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(found[0].local.value, wanted.local.value);
	assert_int_equal(found[0].ifindex, f->ifindex);
	assert_int_equal(found[0].prefix_length, 32);
	assert_int_equal(found[0].protocol, TEST_PROTOCOL);
	assert_in_range(found[0].valid_s, 58, 60);
	assert_in_range(found[0].preferred_s, 58, 60);
	assert_string_equal(found[0].label, "test0:x");
	assert_int_equal(address_delete(f->netlink, &wanted), 0);
	assert_int_equal(address_delete(f->netlink, &wanted), -EADDRNOTAVAIL);
}

static void a_lifetime_can_be_renewed_and_made_endless(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct address wanted = {.ifindex = f->ifindex,
		.local = ipv4("192.0.2.2"),
		.prefix_length = 32,
		.valid_s = 20,
		.preferred_s = 20};
	size_t n;

	for (int i = 0; i < 3; i++) {
		auto_free struct address *found = NULL;

		assert_int_equal(address_set(f->netlink, &wanted), 0);
		assert_int_equal(address_dump(f->netlink, f->ifindex, &found, &n), 0);
		assert_int_equal(n, 1);
		assert_true(found[0].valid_s == wanted.valid_s ||
			    found[0].valid_s == wanted.valid_s - 1);
		wanted.valid_s = wanted.preferred_s = i == 0 ? 60 : ADDRESS_FOREVER;
	}
	assert_int_equal(address_delete(f->netlink, &wanted), 0);
}

static void addresses_of_one_interface_leave_out_the_others(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct address first = {.ifindex = f->ifindex,
		.local = ipv4("192.0.2.3"),
		.prefix_length = 24,
		.valid_s = ADDRESS_FOREVER,
		.preferred_s = ADDRESS_FOREVER};
	struct address second = first;
	auto_free struct address *one = NULL, *all = NULL;
	size_t n_one, n_all;

	second.ifindex = if_nametoindex("test1");
	second.local = ipv4("192.0.2.4");
	assert_int_equal(address_add(f->netlink, &first), 0);
	assert_int_equal(address_add(f->netlink, &second), 0);
	assert_int_equal(address_dump(f->netlink, f->ifindex, &one, &n_one), 0);
	assert_int_equal(address_dump(f->netlink, 0, &all, &n_all), 0);
	assert_int_equal(n_one, 1);
	assert_int_equal(n_all, 2);
	assert_int_equal(address_delete(f->netlink, &first), 0);
	assert_int_equal(address_delete(f->netlink, &second), 0);
}

static void a_route_is_set_replaced_found_and_deleted(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct route wanted = route_of_link(prefix("198.51.100.7/32"), f->ifindex);
	struct route other = route_of_link(wanted.destination, if_nametoindex("test1"));
	struct route_filter filter = {.table = RT_TABLE_MAIN,
		.type = RTN_UNICAST,
		.scope_at_least = RT_SCOPE_LINK,
		.length_min = 32,
		.length_max = 32};
	auto_free struct route *found = NULL;
	size_t n;

	assert_int_equal(route_set(f->netlink, &wanted), 0);
	assert_int_equal(route_set(f->netlink, &wanted), 0);
	assert_int_equal(route_set(f->netlink, &other), 0);
	assert_int_equal(route_dump(f->netlink, &filter, &found, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(found[0].oif, other.oif);
	assert_int_equal(found[0].destination.address.value, 0xc6336407);
	assert_int_equal(found[0].protocol, RTPROT_BOOT);
	assert_int_equal(found[0].scope, RT_SCOPE_LINK);
	assert_int_equal(route_delete(f->netlink, &other), 0);
	assert_int_equal(route_delete(f->netlink, &other), -ESRCH);
}

static void a_table_without_routes_dumps_none(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct route_filter filter = {.table = 4711};
	auto_free struct route *found = NULL;
	size_t n;

	assert_int_equal(route_dump(f->netlink, &filter, &found, &n), 0);
	assert_int_equal(n, 0);
}

static void the_default_route_is_the_one_with_the_lowest_metric(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct route first = route_of_link(prefix("0.0.0.0/0"), f->ifindex), second = first, found;

	assert_int_equal(route_default(f->netlink, &found), -ENETUNREACH);
	first.metric = 200;
	second.metric = 100;
	second.oif = if_nametoindex("test1");
	assert_int_equal(route_set(f->netlink, &first), 0);
	assert_int_equal(route_set(f->netlink, &second), 0);
	assert_int_equal(route_default(f->netlink, &found), 0);
	assert_int_equal(found.oif, second.oif);
	assert_int_equal(found.metric, 100);
	assert_int_equal(route_delete(f->netlink, &first), 0);
	assert_int_equal(route_delete(f->netlink, &second), 0);
}

static void a_lookup_obeys_the_source_and_the_rules(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct address source = {.ifindex = f->ifindex,
		.local = ipv4("192.0.2.5"),
		.prefix_length = 32,
		.valid_s = ADDRESS_FOREVER,
		.preferred_s = ADDRESS_FOREVER};
	struct route route = route_of_link(prefix("203.0.113.0/24"), f->ifindex), found;
	struct rule rule = {.priority = 1000,
		.from = prefix("192.0.2.5/32"),
		.action = FR_ACT_TO_TBL,
		.table = TEST_TABLE};

	route.table = TEST_TABLE;
	assert_int_equal(address_add(f->netlink, &source), 0);
	assert_int_equal(route_set(f->netlink, &route), 0);
	assert_int_equal(rule_add(f->netlink, &rule), 0);
	assert_int_equal(route_lookup(f->netlink, ipv4("203.0.113.9"), source.local, &found), 0);
	assert_int_equal(found.oif, f->ifindex);
	assert_int_equal(found.table, TEST_TABLE);
	assert_int_equal(route_lookup(f->netlink, ipv4("203.0.113.9"), (struct ipv4){0}, &found),
		-ENETUNREACH);
	assert_int_equal(rule_delete(f->netlink, &rule), 0);
	assert_int_equal(route_delete(f->netlink, &route), 0);
	assert_int_equal(address_delete(f->netlink, &source), 0);
}

static void a_lookup_obeys_the_mark_and_tells_the_mtu_of_the_path(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct rule rule = {.priority = 1000,
		.mark = 7,
		.mask = UINT32_MAX,
		.action = FR_ACT_TO_TBL,
		.table = TEST_TABLE};
	struct route found;

	assert_int_equal(system("ip address add 192.0.2.5/32 dev test0 && ip route add "
				"203.0.113.0/24 dev test0 table 51820 mtu 1300 && ip route add "
				"198.51.100.0/24 encap ip dst 192.0.2.9 dev test0"),
		0);
	assert_int_equal(rule_add(f->netlink, &rule), 0);
	assert_int_equal(
		route_lookup_marked(f->netlink, ipv4("203.0.113.9"), ipv4("192.0.2.5"), 7, &found),
		0);
	assert_int_equal(found.oif, f->ifindex);
	assert_int_equal(found.mtu, 1300);
	assert_false(found.encapsulates);
	assert_int_equal(
		route_lookup_marked(f->netlink, ipv4("203.0.113.9"), ipv4("192.0.2.5"), 8, &found),
		-ENETUNREACH);
	assert_int_equal(
		route_lookup(f->netlink, ipv4("198.51.100.9"), ipv4("192.0.2.5"), &found), 0);
	assert_int_equal(found.mtu, 0);
	assert_true(found.encapsulates);
	assert_int_equal(rule_delete(f->netlink, &rule), 0);
	assert_int_equal(system("ip route flush table 51820 && ip route flush 198.51.100.0/24 && "
				"ip address del 192.0.2.5/32 dev test0"),
		0);
}

static void a_rule_comes_back_as_it_was_added(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct rule wanted = {.priority = 99,
		.from = prefix("10.0.0.0/8"),
		.to = prefix("10.1.0.0/16"),
		.iif = "test0",
		.mark = 5,
		.mask = 0xff,
		.action = FR_ACT_TO_TBL,
		.table = 100,
		.protocol = TEST_PROTOCOL};
	auto_free struct rule *rules = NULL;
	size_t n;

	assert_int_equal(rule_add(f->netlink, &wanted), 0);
	assert_int_equal(rule_add(f->netlink, &wanted), -EEXIST);
	assert_int_equal(rule_dump(f->netlink, &rules, &n), 0);
	assert_int_equal(n, 4); /* local, this one, main, default */
	assert_int_equal(rules[1].priority, 99);
	assert_int_equal(rules[1].from.address.value, wanted.from.address.value);
	assert_int_equal(rules[1].from.length, 8);
	assert_int_equal(rules[1].to.length, 16);
	assert_string_equal(rules[1].iif, "test0");
	assert_int_equal(rules[1].mark, 5);
	assert_int_equal(rules[1].mask, 0xff);
	assert_int_equal(rules[1].table, 100);
	assert_int_equal(rules[1].protocol, TEST_PROTOCOL);
	assert_false(rules[1].conditional);
	assert_int_equal(rule_delete(f->netlink, &wanted), 0);
	assert_int_equal(rule_delete(f->netlink, &wanted), -ENOENT);
}

static void conditions_a_rule_cannot_carry_are_said(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	auto_free struct rule *rules = NULL;
	size_t n;

	assert_int_equal(
		system("ip rule add not from 10.9.0.0/16 lookup main priority 7 && "
		       "ip rule add from 10.9.0.0/16 ipproto udp lookup main priority 8 && "
		       "ip rule add lookup main suppress_prefixlength 0 priority 9"),
		0);
	assert_int_equal(rule_dump(f->netlink, &rules, &n), 0);
	assert_int_equal(n, 6);
	assert_true(rules[1].conditional && rules[2].conditional && rules[3].conditional);
	assert_false(rules[4].conditional);
	assert_int_equal(system("ip rule del priority 7 && ip rule del priority 8 && "
				"ip rule del priority 9"),
		0);
}

static void messages_sent_together_each_have_their_own_result(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct route good = route_of_link(prefix("198.51.100.1/32"), f->ifindex);
	struct route bad = route_of_link(prefix("198.51.100.2/32"), 999);
	struct netlink_request request;
	int errors[3];

	netlink_request_init(&request);
	route_put(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &good);
	route_put(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &bad);
	route_put(&request, RTM_DELROUTE, 0, &good);
	assert_int_equal(netlink_transact(f->netlink, &request, errors, NULL, NULL), -ENODEV);
	assert_int_equal(errors[0], 0);
	assert_int_equal(errors[1], -ENODEV);
	assert_int_equal(errors[2], 0);
}

static void what_the_kernel_says_about_an_error_is_kept(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct route route = route_of_link(prefix("198.51.100.3/32"), f->ifindex);

	route.gateway = ipv4("198.51.100.99");
	assert_true(route_set(f->netlink, &route) < 0);
	assert_string_not_equal(netlink_error(f->netlink), "");
	route.gateway.value = 0;
	assert_int_equal(route_set(f->netlink, &route), 0);
	assert_string_equal(netlink_error(f->netlink), "");
	assert_int_equal(route_delete(f->netlink, &route), 0);
}

static void a_dump_of_many_parts_is_read_whole(void **state)
{
	enum {
		N = 3000,
		BATCH = 100,
	};
	struct fixture *f = fixture_or_skip(state);
	struct route_filter filter = {
		.table = TEST_TABLE, .within = prefix("10.128.0.0/16"), .length_max = 32};
	auto_free struct route *routes = NULL;
	size_t n;

	for (uint32_t i = 0; i < N; i += BATCH) {
		struct netlink_request request;

		netlink_request_init(&request);
		for (uint32_t j = 0; j < BATCH; j++) {
			struct route route = route_of_link(prefix("10.128.0.0/32"), f->ifindex);

			route.table = TEST_TABLE;
			route.destination.address.value += i + j;
			route_put(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &route);
		}
		assert_int_equal(netlink_execute(f->netlink, &request), 0);
	}
	assert_int_equal(route_dump(f->netlink, &filter, &routes, &n), 0);
	assert_int_equal(n, N);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(routes[i].destination.address.value, 0x0a800000 + i);
}

static void a_link_keeps_its_alias_and_group(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct link_change change = {.alias = "192.0.2.1", .set_group = true, .group = TEST_GROUP};
	struct link link;

	assert_int_equal(link_set(f->netlink, f->ifindex, &change), 0);
	assert_int_equal(link_get(f->netlink, "test0", &link), 0);
	assert_int_equal(link.ifindex, f->ifindex);
	assert_string_equal(link.kind, "veth");
	assert_string_equal(link.alias, "192.0.2.1");
	assert_int_equal(link.group, TEST_GROUP);
	assert_true(link.flags & IFF_UP);
	change = (struct link_change){.set_group = true};
	assert_int_equal(link_set(f->netlink, f->ifindex, &change), 0);
	assert_int_equal(link_get(f->netlink, "test0", &link), 0);
	assert_int_equal(link.group, 0);
	assert_string_equal(link.alias, "192.0.2.1");
	assert_int_equal(link_get(f->netlink, "nothing", &link), -ENODEV);
	assert_int_equal(link_set(f->netlink, 4711, &change), -ENODEV);
	assert_int_equal(link_delete(f->netlink, 4711), -ENODEV);
}

static void a_link_is_found_by_its_number_with_its_type_and_mtu(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct link_change narrow = {.mtu = 1400}, wide = {.mtu = 1500};
	struct link link;

	assert_int_equal(link_set(f->netlink, f->ifindex, &narrow), 0);
	assert_int_equal(link_get_index(f->netlink, f->ifindex, &link), 0);
	assert_string_equal(link.name, "test0");
	assert_int_equal(link.type, ARPHRD_ETHER);
	assert_int_equal(link.mtu, 1400);
	assert_int_equal(link_set(f->netlink, f->ifindex, &wide), 0);
	assert_int_equal(link_get_index(f->netlink, 4711, &link), -ENODEV);
}

static void the_length_of_super_packets_can_be_set(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct link_change change = {.gso_max_size = 20000};

	assert_int_equal(link_set(f->netlink, f->ifindex, &change), 0);
	assert_int_equal(system("ip -details link show test0 | grep -q 'gso_max_size 20000'"), 0);
}

struct notices {
	unsigned int ifindex; /* of interest */
	int links, routes;
	bool up;
};

static void count_notice(void *context, const struct nlmsghdr *message)
{
	struct notices *notices = context;
	struct link link;

	notices->routes += message->nlmsg_type == RTM_NEWROUTE;
	if (link_decode(message, NULL, &link) == 1 && link.ifindex == notices->ifindex) {
		notices->links++;
		notices->up = (link.flags & IFF_UP) != 0;
	}
}

static void a_monitor_tells_of_the_changes_it_was_opened_for(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct notices notices = {.ifindex = f->ifindex};
	int fd = netlink_monitor_open(NETLINK_ROUTE, RTMGRP_LINK);

	assert_true(fd >= 0);
	assert_int_equal(netlink_monitor_read(fd, count_notice, &notices), 0);
	assert_int_equal(notices.links, 0);
	assert_int_equal(system("ip link set test0 down"), 0);
	assert_int_equal(netlink_monitor_read(fd, count_notice, &notices), 0);
	assert_true(notices.links > 0);
	assert_false(notices.up);
	assert_int_equal(
		system("ip link set test0 up && ip route add 203.0.113.0/24 dev test0"), 0);
	assert_int_equal(netlink_monitor_read(fd, count_notice, &notices), 0);
	assert_true(notices.up);
	assert_int_equal(notices.routes, 0);
	close(fd);
	fd = netlink_monitor_open(NETLINK_ROUTE, RTMGRP_IPV4_ROUTE);
	assert_int_equal(system("ip route change 203.0.113.0/24 dev test0 mtu 1300 && "
				"ip route del 203.0.113.0/24"),
		0);
	assert_int_equal(netlink_monitor_read(fd, count_notice, &notices), 0);
	assert_true(notices.routes > 0);
	close(fd);
}

static void a_monitor_tells_that_notices_were_lost(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct notices notices = {.ifindex = f->ifindex};
	int fd = netlink_monitor_open(NETLINK_ROUTE, RTMGRP_LINK), size = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(system("ip link set test0 down && ip link set test0 up"), 0);
	assert_int_equal(netlink_monitor_read(fd, count_notice, &notices), -ENOBUFS);
	assert_int_equal(netlink_monitor_read(fd, count_notice, &notices), 0);
	close(fd);
}

static void a_group_is_deleted_whole_or_not_at_all(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	struct link_change mark = {.set_group = true, .group = TEST_GROUP};
	struct link_change reset = {.set_group = true};
	struct link link;

	assert_int_equal(link_delete_group(f->netlink, TEST_GROUP), -ENODEV);
	assert_int_equal(link_delete_group(f->netlink, 0), -EINVAL);
	assert_int_equal(system("ip link add group0 group 4711 type veth peer name group1 && "
				"ip link add group2 group 4711 type veth peer name group3"),
		0);
	/* The loopback interface cannot be deleted. */
	assert_int_equal(link_set(f->netlink, if_nametoindex("lo"), &mark), 0);
	assert_int_equal(link_delete_group(f->netlink, TEST_GROUP), -EOPNOTSUPP);
	assert_int_equal(link_get(f->netlink, "group0", &link), 0);
	assert_int_equal(link_set(f->netlink, if_nametoindex("lo"), &reset), 0);
	assert_int_equal(link_delete_group(f->netlink, TEST_GROUP), 0);
	assert_int_equal(link_get(f->netlink, "group0", &link), -ENODEV);
	assert_int_equal(link_get(f->netlink, "group3", &link), -ENODEV);
}

static void counters_of_all_interfaces_are_read(void **state)
{
	struct fixture *f = fixture_or_skip(state);
	auto_free struct link_stats *stats = NULL;
	size_t n;
	uint64_t sent = 0, received = 0;

	assert_int_equal(system("ip link set lo up && ping -q -c 1 127.0.0.1 >/dev/null"), 0);
	assert_int_equal(stats_dump(f->netlink, &stats, &n), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		if (stats[i].ifindex != if_nametoindex("lo"))
			continue;
		sent = stats[i].sent;
		received = stats[i].received;
	}
	assert_true(sent > 0 && sent == received);
}

struct gone {
	size_t n;
	unsigned int last;
};

static void count_gone(void *context, unsigned int ifindex)
{
	struct gone *gone = context;

	gone->n++;
	gone->last = ifindex;
}

static void the_monitor_tells_of_what_has_gone_and_of_nothing_else(void **state)
{
	(void)fixture_or_skip(state);
	struct link_monitor *monitor = NULL;
	struct gone gone = {0};
	unsigned int ifindex;

	assert_int_equal(link_monitor_open(&monitor), 0);
	assert_int_equal(system("ip link add gone0 type veth peer name stays0 && "
				"ip link set gone0 up && ip link set gone0 alias x && "
				"ip link set gone0 down && ip link add bridge0 type bridge && "
				"ip link set gone0 master bridge0 && ip link set gone0 nomaster"),
		0);
	ifindex = if_nametoindex("gone0");
	assert_int_equal(link_monitor_read(monitor, count_gone, &gone), 0);
	assert_int_equal(gone.n, 0);
	assert_int_equal(system("ip link del bridge0"), 0);
	assert_int_equal(link_monitor_read(monitor, count_gone, &gone), 0);
	assert_int_equal(gone.n, 1);
	assert_int_equal(system("ip link del stays0"), 0);
	assert_int_equal(link_monitor_read(monitor, count_gone, &gone), 0);
	assert_int_equal(gone.n, 3);
	assert_true(gone.last == ifindex || gone.last == ifindex - 1);
	link_monitor_close(monitor);
}

/* A process that makes and removes interfaces until it is killed. */
static pid_t start_churn(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child > 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct netlink_request request;
		struct netlink *netlink;

		if (netlink_open(NETLINK_ROUTE, &netlink) < 0)
			_exit(1);
		netlink_request_init(&request);
		link_put_new(&request, "churn0", "veth");
		netlink_execute(netlink, &request);
		link_delete(netlink, if_nametoindex("churn0"));
		netlink_close(netlink);
	}
}

static int ignore(void *context, size_t number, const struct nlmsghdr *message)
{
	(void)context;
	(void)number;
	(void)message;
	return 0;
}

/* Whether a dump of the interfaces is interrupted in one of many tries. */
static bool is_interrupted(struct netlink *netlink)
{
	for (int i = 0; i < 2000; i++) {
		struct netlink_request request;

		netlink_request_init(&request);
		netlink_add(&request, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
		if (netlink_dump(netlink, &request, ignore, NULL) == -EINTR)
			return true;
	}
	return false;
}

static void a_dump_that_was_interrupted_is_made_again(void **state)
{
	enum {
		N_PAIRS = 100,
		N_DUMPS = 50,
	};
	struct fixture *f = fixture_or_skip(state);
	bool interrupted, whole = true;
	pid_t churn;

	assert_int_equal(system("for i in $(seq 100); do echo link add many$i type veth peer name "
				"peer$i; done | ip -batch -"),
		0);
	churn = start_churn();
	interrupted = is_interrupted(f->netlink);
	for (int i = 0; i < N_DUMPS && whole; i++) {
		auto_free struct link *links = NULL;
		size_t n, n_many = 0;

		whole = link_dump(f->netlink, "veth", &links, &n) == 0;
		for (size_t j = 0; j < n; j++)
			n_many += strncmp(links[j].name, "many", 4) == 0;
		whole = whole && n_many == N_PAIRS;
	}
	kill(churn, SIGKILL);
	waitpid(churn, NULL, 0);
	assert_true(interrupted);
	assert_true(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_keeps_its_lifetime_protocol_and_label),
		cmocka_unit_test(a_lifetime_can_be_renewed_and_made_endless),
		cmocka_unit_test(addresses_of_one_interface_leave_out_the_others),
		cmocka_unit_test(a_route_is_set_replaced_found_and_deleted),
		cmocka_unit_test(a_table_without_routes_dumps_none),
		cmocka_unit_test(the_default_route_is_the_one_with_the_lowest_metric),
		cmocka_unit_test(a_lookup_obeys_the_source_and_the_rules),
		cmocka_unit_test(a_lookup_obeys_the_mark_and_tells_the_mtu_of_the_path),
		cmocka_unit_test(a_rule_comes_back_as_it_was_added),
		cmocka_unit_test(conditions_a_rule_cannot_carry_are_said),
		cmocka_unit_test(messages_sent_together_each_have_their_own_result),
		cmocka_unit_test(what_the_kernel_says_about_an_error_is_kept),
		cmocka_unit_test(a_dump_of_many_parts_is_read_whole),
		cmocka_unit_test(a_link_keeps_its_alias_and_group),
		cmocka_unit_test(a_link_is_found_by_its_number_with_its_type_and_mtu),
		cmocka_unit_test(the_length_of_super_packets_can_be_set),
		cmocka_unit_test(a_monitor_tells_of_the_changes_it_was_opened_for),
		cmocka_unit_test(a_monitor_tells_that_notices_were_lost),
		cmocka_unit_test(a_group_is_deleted_whole_or_not_at_all),
		cmocka_unit_test(counters_of_all_interfaces_are_read),
		cmocka_unit_test(the_monitor_tells_of_what_has_gone_and_of_nothing_else),
		cmocka_unit_test(a_dump_that_was_interrupted_is_made_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
