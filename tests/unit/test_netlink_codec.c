/* What the netlink room writes and reads, against what ip and wg do. */
#include "addresses.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>

#include "base/cleanup.h"
#include "netlink/address.h"
#include "netlink/attribute.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/socket.h"
#include "netlink/stats.h"
#include "netlink/wireguard.h"
#include "netlink_captures.h"

static const unsigned int any_interface;
static const struct route_filter any_route;

static const struct nlmsghdr *message(const uint8_t *bytes)
{
	return (const struct nlmsghdr *)bytes;
}

static struct key key(const char *text)
{
	struct key k;

	assert_int_equal(key_parse(text, strlen(text), &k), 0);
	return k;
}

static struct key peer_key(void)
{
	return key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
}

#define assert_request(request, captured)                                                          \
	do {                                                                                       \
		assert_int_equal((request).error, 0);                                              \
		assert_int_equal((request).length, sizeof(captured));                              \
		assert_memory_equal((request).data, captured, sizeof(captured));                   \
	} while (0)

/* The bytes from some offset on: what comes before names the interface in another way. */
#define assert_request_from(request, offset, captured, captured_offset)                            \
	do {                                                                                       \
		assert_int_equal((request).error, 0);                                              \
		assert_int_equal(                                                                  \
			(request).length - (offset), sizeof(captured) - (captured_offset));        \
		assert_memory_equal((request).data + (offset), (captured) + (captured_offset),     \
			sizeof(captured) - (captured_offset));                                     \
	} while (0)

static void a_route_is_written_as_ip_does(void **state)
{
	struct route route = route_of_link((struct prefix){ipv4("10.100.0.3"), 32}, 4);
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	route_put(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &route);
	assert_request(request, request_new_route);
}

static void an_address_is_written_as_ip_does(void **state)
{
	struct address address = {.ifindex = 4,
		.local = ipv4("192.0.2.9"),
		.prefix_length = 32,
		.valid_s = 60,
		.preferred_s = 60};
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	address_put(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &address);
	assert_request(request, request_new_address);
}

static void a_rule_is_written_as_ip_does(void **state)
{
	struct rule rule = {.priority = 99,
		.from = {ipv4("10.100.0.0"), 16},
		.action = 1,
		.table = 51820,
		.protocol = 187};
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	rule_put(&request, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &rule);
	assert_request(request, request_new_rule);
}

static void changes_of_a_link_are_written_as_ip_does(void **state)
{
	enum {
		TYPE_OFFSET = 4, /* ip sends RTM_NEWLINK for a change, too */
		HEADERS = 32,
	};
	struct link_change alias = {.alias = "192.0.2.1"};
	struct link_change group = {.set_group = true, .group = 1987};
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	link_put_set(&request, 4, &alias);
	request.data[TYPE_OFFSET] = RTM_NEWLINK;
	assert_request(request, request_alias);
	netlink_request_init(&request);
	link_put_set(&request, 4, &group);
	assert_request_from(request, HEADERS, request_group, HEADERS);
}

static void an_ipip_link_is_written_as_ip_does(void **state)
{
	enum {
		NAME = 32, /* with the headers of both nests, but for their lengths and flags */
		KIND = 48,
		ADDRESSES = 68, /* behind the protocol: ip says "any" there */
		LENGTH = 24, /* up to pmtudisc: then ip has the defaults, too */
	};
	struct netlink_request request;

	(void)state;
	netlink_request_init(&request);
	link_put_new_ipip(&request, "vp0-2", ipv4("192.0.2.1"), ipv4("198.51.100.7"));
	assert_int_equal(request.error, 0);
	assert_memory_equal(request.data + NAME, request_new_ipip + NAME, 12);
	assert_memory_equal(request.data + KIND, request_new_ipip + KIND, 8);
	assert_memory_equal(request.data + ADDRESSES, request_new_ipip + ADDRESSES, LENGTH);
}

static void a_wireguard_peer_is_written_and_removed_as_wg_does(void **state)
{
	enum {
		OURS = 28, /* the interface by its number takes as much as */
		CAPTURED = 28, /* by the name wg0 */
	};
	struct netlink_request request;
	struct key k = peer_key();

	(void)state;
	netlink_request_init(&request);
	wireguard_put_peer(&request, 0x20, 5, &k, (struct prefix){ipv4("10.100.0.2"), 32}, true);
	assert_request_from(request, OURS, request_wireguard_set, CAPTURED);
	netlink_request_init(&request);
	wireguard_put_removal(&request, 0x20, 5, &k, 1);
	assert_request_from(request, OURS, request_wireguard_remove, CAPTURED);
}

static void a_peer_that_is_there_already_keeps_its_addresses_meanwhile(void **state)
{
	struct netlink_request with, without;
	struct key k = peer_key();
	struct prefix allowed = {ipv4("10.100.0.2"), 32};

	(void)state;
	netlink_request_init(&with);
	netlink_request_init(&without);
	wireguard_put_peer(&with, 0x20, 5, &k, allowed, true);
	wireguard_put_peer(&without, 0x20, 5, &k, allowed, false);
	/* No flags at all, so no WGPEER_F_REPLACE_ALLOWEDIPS. */
	assert_int_equal(without.length, with.length - 8);
}

static void places_of_as_many_peers_as_are_said_are_one_message_in_their_order(void **state)
{
	struct wireguard_place places[WIREGUARD_PLACES_MAX];
	const struct nlattr *table[WGDEVICE_A_PEERS + 1], *peer = NULL;
	struct netlink_request request;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < WIREGUARD_PLACES_MAX; i++) {
		places[i] = (struct wireguard_place){peer_key(), ipv4("198.51.100.7"), 4000};
		places[i].key.bytes[0] = (uint8_t)i;
	}
	netlink_request_init(&request);
	wireguard_put_places(&request, 0x20, 5, places, WIREGUARD_PLACES_MAX);
	assert_int_equal(request.error, 0);
	assert_int_equal(request.count, 1);
	attributes_of_message(message(request.data), sizeof(struct genlmsghdr), table,
		sizeof table / sizeof *table);
	while ((peer = attribute_next(table[WGDEVICE_A_PEERS], peer))) {
		const struct nlattr *of_peer[WGPEER_A_PUBLIC_KEY + 1];
		struct key k;

		attributes_of_nest(peer, of_peer, sizeof of_peer / sizeof *of_peer);
		assert_true(attribute_bytes(of_peer[WGPEER_A_PUBLIC_KEY], k.bytes, KEY_SIZE));
		/* Twice: keepalives are switched on, and off. */
		assert_memory_equal(k.bytes, places[n++ / 2].key.bytes, KEY_SIZE);
	}
	assert_int_equal(n, 2 * WIREGUARD_PLACES_MAX);
}

static void what_does_not_fit_is_said_and_nothing_overruns(void **state)
{
	struct route route = route_of_link((struct prefix){ipv4("10.100.0.3"), 32}, 4);
	struct netlink_request request;
	static const char large[NETLINK_REQUEST_SIZE];

	(void)state;
	netlink_request_init(&request);
	for (int i = 0; i < 2 * NETLINK_REQUEST_MESSAGES; i++)
		route_put(&request, RTM_NEWROUTE, 0, &route);
	assert_int_equal(request.error, -EMSGSIZE);
	assert_true(request.count <= NETLINK_REQUEST_MESSAGES);
	netlink_request_init(&request);
	netlink_add(&request, RTM_NEWLINK, 0, 16);
	netlink_put(&request, 1, large, sizeof large);
	assert_int_equal(request.error, -EMSGSIZE);
	assert_true(request.length <= sizeof request.data);
	netlink_request_init(&request);
	netlink_add(&request, RTM_NEWLINK, 0, 16);
	netlink_put(&request, 1, large, UINT16_MAX);
	assert_int_equal(request.error, -EMSGSIZE);
}

static void a_link_is_read_as_ip_shows_it(void **state)
{
	struct link link;

	(void)state;
	assert_int_equal(link_decode(message(answer_link), NULL, &link), 1);
	assert_int_equal(link.ifindex, 4);
	assert_string_equal(link.name, "vp0-2");
	assert_string_equal(link.kind, "ipip");
	assert_string_equal(link.alias, "192.0.2.1");
	assert_int_equal(link.group, 1987);
	assert_true(link.flags & IFF_UP);
	assert_int_equal(link.local.value, ipv4("192.0.2.1").value);
	assert_int_equal(link.remote.value, ipv4("198.51.100.7").value);
	assert_int_equal(link_decode(message(answer_link), "ipip", &link), 1);
	assert_int_equal(link_decode(message(answer_link), "wireguard", &link), 0);
}

static void addresses_are_read_with_their_lifetimes(void **state)
{
	const unsigned int other = 2;
	struct address address;

	(void)state;
	assert_int_equal(address_decode(message(answer_address), &any_interface, &address), 1);
	assert_int_equal(address.local.value, 0x7f000001);
	assert_int_equal(address.prefix_length, 8);
	assert_int_equal(address.valid_s, ADDRESS_FOREVER);
	assert_string_equal(address.label, "lo");
	assert_int_equal(
		address_decode(message(answer_address_lifetime), &any_interface, &address), 1);
	assert_int_equal(address.local.value, ipv4("192.0.2.9").value);
	assert_int_equal(address.ifindex, 1);
	assert_in_range(address.valid_s, 59, 60);
	assert_in_range(address.preferred_s, 59, 60);
	assert_int_equal(address_decode(message(answer_address), &other, &address), 0);
}

static void routes_and_rules_are_read(void **state)
{
	struct route route;
	struct rule rule;

	(void)state;
	assert_int_equal(route_decode(message(answer_route), &any_route, &route), 1);
	assert_int_equal(route.destination.address.value, ipv4("10.9.9.9").value);
	assert_int_equal(route.destination.length, 32);
	assert_int_equal(route.oif, 1);
	assert_int_equal(route.table, RT_TABLE_MAIN);
	assert_int_equal(route.scope, RT_SCOPE_LINK);
	assert_int_equal(rule_decode(message(answer_rule), NULL, &rule), 1);
	assert_int_equal(rule.priority, 99);
	assert_int_equal(rule.from.address.value, ipv4("10.100.0.0").value);
	assert_int_equal(rule.from.length, 16);
	assert_int_equal(rule.to.length, 0);
	assert_int_equal(rule.table, 51820);
	assert_int_equal(rule.protocol, 187);
	assert_false(rule.conditional);
}

static void a_route_outside_the_filter_is_left_out(void **state)
{
	const struct route_filter passing[] = {
		{.table = RT_TABLE_MAIN, .type = RTN_UNICAST, .oif = 1},
		{.within = {ipv4("10.9.0.0"), 16}},
		{.length_min = 32, .length_max = 32},
		{.scope_at_least = RT_SCOPE_LINK},
	};
	const struct route_filter failing[] = {
		{.table = RT_TABLE_LOCAL},
		{.type = RTN_LOCAL},
		{.oif = 2},
		{.within = {ipv4("10.8.0.0"), 16}},
		{.length_max = 31},
		{.scope_at_least = RT_SCOPE_HOST},
	};
	struct route route;

	(void)state;
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		assert_int_equal(route_decode(message(answer_route), &passing[i], &route), 1);
	for (size_t i = 0; i < sizeof failing / sizeof *failing; i++)
		assert_int_equal(route_decode(message(answer_route), &failing[i], &route), 0);
}

static void counters_are_read(void **state)
{
	struct link_stats stats;

	(void)state;
	assert_int_equal(stats_decode(message(answer_stats), NULL, &stats), 1);
	assert_int_equal(stats.ifindex, 1);
	assert_int_equal(stats.received, 6168);
	assert_int_equal(stats.sent, 6168);
}

static void a_wireguard_device_is_read_with_its_peers(void **state)
{
	struct wireguard_device device = {0};
	struct key k = peer_key();

	(void)state;
	assert_int_equal(wireguard_decode(message(answer_wireguard), &device), 0);
	assert_int_equal(device.ifindex, 5);
	assert_int_equal(device.port, 50227);
	assert_int_equal(device.private_key.bytes[KEY_SIZE - 1], 0x40);
	assert_int_equal(device.n_peers, 2);
	assert_true(key_equal(&device.peers[0].key, &k));
	assert_int_equal(device.peers[0].outer.value, ipv4("198.51.100.9").value);
	assert_int_equal(device.peers[0].n_allowed, 2);
	assert_int_equal(device.peers[0].n_allowed_ipv6, 1);
	assert_int_equal(device.allowed[0].address.value, ipv4("10.100.0.2").value);
	assert_int_equal(device.allowed[0].length, 32);
	assert_int_equal(device.allowed[1].address.value, ipv4("10.2.0.0").value);
	assert_int_equal(device.allowed[1].length, 16);
	assert_int_equal(device.peers[1].n_allowed, 0);
	assert_int_equal(device.peers[1].outer.value, 0);
	assert_int_equal(device.peers[1].handshake_ns, 0);
	wireguard_free(&device);
}

static void a_peer_that_goes_on_in_the_next_part_is_one_peer(void **state)
{
	struct wireguard_device device = {0};

	(void)state;
	/* A request's peer looks like the second part of an answer: a key and allowed-ips. */
	assert_int_equal(wireguard_decode(message(request_wireguard_set), &device), 0);
	assert_int_equal(wireguard_decode(message(request_wireguard_set), &device), 0);
	assert_int_equal(device.n_peers, 1);
	assert_int_equal(device.peers[0].n_allowed, 2);
	assert_int_equal(device.peers[0].first_allowed, 0);
	/* Another one begins a new peer. */
	assert_int_equal(wireguard_decode(message(answer_wireguard), &device), 0);
	assert_int_equal(wireguard_decode(message(request_wireguard_set), &device), 0);
	assert_int_equal(device.n_peers, 3);
	assert_int_equal(device.peers[2].first_allowed, 4);
	wireguard_free(&device);
}

/* Reads the message as whatever it may be. */
static void decode_all(const struct nlmsghdr *m)
{
	struct wireguard_device device = {0};
	union {
		struct link link;
		struct address address;
		struct route route;
		struct rule rule;
		struct link_stats stats;
	} item;

	link_decode(m, NULL, &item);
	address_decode(m, &any_interface, &item);
	route_decode(m, &any_route, &item);
	rule_decode(m, NULL, &item);
	stats_decode(m, NULL, &item);
	wireguard_decode(m, &device);
	wireguard_free(&device);
}

/* A copy in memory of exactly that length, so that the sanitizer sees what is read beyond it. */
static void decode_copy(const uint8_t *bytes, size_t length, size_t offset, uint16_t value)
{
	auto_free uint8_t *copy = malloc(length);
	struct nlmsghdr *m = (struct nlmsghdr *)copy;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	if (offset <= length - sizeof value)
		memcpy(copy + offset, &value, sizeof value);
	m->nlmsg_len = (uint32_t)length;
	decode_all(m);
}

static void truncated_messages_and_false_lengths_are_read_within_their_bounds(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t length;
	} messages[] = {
		{answer_link, sizeof answer_link},
		{answer_address_lifetime, sizeof answer_address_lifetime},
		{answer_route, sizeof answer_route},
		{answer_rule, sizeof answer_rule},
		{answer_wireguard, sizeof answer_wireguard},
		{answer_stats, sizeof answer_stats},
	};
	static const uint16_t lengths[] = {0, 1, 3, 4, 5, 0x7fff, 0xfffc, 0xffff};

	(void)state;
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		for (size_t n = sizeof(struct nlmsghdr); n <= messages[i].length; n++)
			decode_copy(messages[i].bytes, n, SIZE_MAX, 0);
		for (size_t at = sizeof(struct nlmsghdr); at < messages[i].length; at += 2)
			for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++)
				decode_copy(messages[i].bytes, messages[i].length, at, lengths[j]);
	}
}

static void an_attribute_of_another_size_counts_as_absent(void **state)
{
	struct netlink_request request;
	const struct nlattr *table[4];
	uint32_t value = 7;
	char text[4];

	(void)state;
	netlink_request_init(&request);
	netlink_add(&request, RTM_NEWLINK, 0, 0);
	netlink_put_u16(&request, 1, 0xffff);
	netlink_put(&request, 2, "longer than that", 16);
	attributes_of_message(
		(struct nlmsghdr *)request.data, 0, table, sizeof table / sizeof *table);
	assert_false(attribute_u32(table[1], &value));
	assert_false(attribute_u32(table[3], &value));
	assert_int_equal(value, 7);
	assert_true(attribute_string(table[2], text, sizeof text));
	assert_string_equal(text, "lon");
	assert_false(attribute_string(table[3], text, sizeof text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_is_written_as_ip_does),
		cmocka_unit_test(an_address_is_written_as_ip_does),
		cmocka_unit_test(a_rule_is_written_as_ip_does),
		cmocka_unit_test(changes_of_a_link_are_written_as_ip_does),
		cmocka_unit_test(an_ipip_link_is_written_as_ip_does),
		cmocka_unit_test(a_wireguard_peer_is_written_and_removed_as_wg_does),
		cmocka_unit_test(a_peer_that_is_there_already_keeps_its_addresses_meanwhile),
		cmocka_unit_test(
			places_of_as_many_peers_as_are_said_are_one_message_in_their_order),
		cmocka_unit_test(what_does_not_fit_is_said_and_nothing_overruns),
		cmocka_unit_test(a_link_is_read_as_ip_shows_it),
		cmocka_unit_test(addresses_are_read_with_their_lifetimes),
		cmocka_unit_test(routes_and_rules_are_read),
		cmocka_unit_test(a_route_outside_the_filter_is_left_out),
		cmocka_unit_test(counters_are_read),
		cmocka_unit_test(a_wireguard_device_is_read_with_its_peers),
		cmocka_unit_test(a_peer_that_goes_on_in_the_next_part_is_one_peer),
		cmocka_unit_test(truncated_messages_and_false_lengths_are_read_within_their_bounds),
		cmocka_unit_test(an_attribute_of_another_size_counts_as_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
