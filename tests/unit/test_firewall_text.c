#include "addresses.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "host/confinement.h"
#include "host/firewall_endpoint.h"
#include "host/firewall_text.h"
#include "host/host_config.h"

/* Two endpoints; their indices are not their places in the list. */
struct fixture {
	struct host_endpoint endpoints[2];
	struct host_config config;
};

static struct fixture *fixture(void)
{
	static struct fixture f;

	f.endpoints[0] =
		(struct host_endpoint){3, ipv4("203.0.113.1"), prefix("10.100.0.0/20"), 50230};
	f.endpoints[1] =
		(struct host_endpoint){0, ipv4("203.0.113.2"), prefix("10.100.16.0/20"), 50227};
	f.config = (struct host_config){.endpoints = f.endpoints,
		.n_endpoints = 2,
		.whole_block = prefix("10.100.0.0/16"),
		.policy = {.max_flows_per_peer = 2048}};
	return &f;
}

static void assert_holds(const struct host_config *config, const char *part)
{
	auto_free char *text = firewall_text(config);

	assert_non_null(text);
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_lacks(const struct host_config *config, const char *part)
{
	auto_free char *text = firewall_text(config);

	assert_non_null(text);
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

static void the_whole_table_is_replaced_in_one_transaction(void **state)
{
	static const char beginning[] = "table ip vprox\ndelete table ip vprox\ntable ip vprox {\n";
	auto_free char *text = firewall_text(&fixture()->config);

	(void)state;
	assert_memory_equal(text, beginning, sizeof beginning - 1);
}

static void every_endpoint_has_its_names_addresses_and_port(void **state)
{
	const struct host_config *config = &fixture()->config;

	(void)state;
	assert_holds(config, "elements = { \"vprox3\", \"vp3-*\", \"vprox0\", \"vp0-*\" }");
	assert_holds(config, "elements = { 203.0.113.1, 203.0.113.2 }");
	assert_holds(config, "elements = { 10.100.0.0/20, 10.100.16.0/20 }");
	assert_holds(config, "elements = { 203.0.113.1 . 50230, 203.0.113.2 . 50227 }");
	assert_holds(
		config, "elements = { 10.100.0.0/20 : 203.0.113.1, 10.100.16.0/20 : 203.0.113.2 }");
	assert_holds(config, "\tchain device_3 {\n\t\tip saddr != 10.100.0.0/20 counter name "
			     "refused_spoofed drop\n");
	assert_holds(config, "\tchain device_0 {\n\t\tip saddr != 10.100.16.0/20 counter name "
			     "refused_spoofed drop\n");
	assert_holds(config, "\"vprox3\" : goto device_3, \"vp3-*\" : goto ipip_3");
}

static void the_way_back_is_looked_up_for_ipip_links_and_not_for_devices(void **state)
{
	const struct host_config *config = &fixture()->config;

	(void)state;
	assert_holds(config, "\tchain ipip_3 {\n\t\tfib saddr . iif oif missing counter name "
			     "refused_spoofed drop\n\t\tgoto device_3\n");
	assert_holds(config, "\tchain device_3 {\n\t\tip saddr != 10.100.0.0/20 counter name "
			     "refused_spoofed drop\n\t\tgoto tunnel\n");
}

static void the_interface_that_peers_share_is_of_no_endpoint_and_needs_a_mark(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_lacks(&f->config, "vprox-ipip");
	f->config.shares_ipip = true;
	assert_holds(&f->config, "elements = { \"vprox-ipip\", \"vprox3\", \"vp3-*\", ");
	assert_holds(&f->config, "elements = { \"vprox-ipip\" : goto ipip_shared, ");
	assert_holds(&f->config, "\tchain ipip_shared {\n\t\tmeta mark != 0x76707270 counter name "
				 "refused_spoofed drop\n\t\tmeta mark set 0x00000000\n"
				 "\t\tip saddr != 10.100.0.0/16 ");
	assert_holds(&f->config, "iifname \"vprox-ipip\" meta mark != 0x76707270 drop\n");
	f->config.n_endpoints = 0;
	assert_holds(&f->config, "elements = { \"vprox-ipip\" }");
}

static void the_interface_that_peers_share_stays_where_an_endpoint_goes(void **state)
{
	struct fixture *f = fixture();
	const struct host_config none = {.shares_ipip = true};
	auto_free char *text = firewall_endpoint_change(&f->endpoints[0], &none, false);

	(void)state;
	assert_non_null(strstr(text, "add element ip vprox tunnels { \"vprox-ipip\" }"));
	assert_non_null(
		strstr(text, "add element ip vprox chains { \"vprox-ipip\" : goto ipip_shared }"));
}

static void unknown_connections_are_dropped_where_the_kernel_can_tell_them(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_lacks(&f->config, "jump unknown");
	f->config.finds_sockets = true;
	assert_holds(&f->config, "jump unknown");
	assert_holds(&f->config, "\tchain unknown {\n\t\tsocket wildcard { 0, 1 } return\n");
}

static void peers_reach_each_other_only_where_that_is_allowed(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_holds(&f->config,
		"chain out_of_tunnel {\n\t\toifname @tunnels counter name refused_peers drop\n");
	f->config.allow_peer_to_peer = true;
	assert_lacks(&f->config, "oifname @tunnels counter name refused_peers");
}

static void link_local_addresses_are_reached_only_where_that_is_allowed(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_holds(&f->config, "168.63.129.16/32, 169.254.0.0/16 }");
	f->config.policy.allow_link_local = true;
	assert_lacks(&f->config, "169.254");
}

static void each_endpoints_port_has_the_address_that_wireguard_sends_from(void **state)
{
	(void)state;
	assert_holds(&fixture()->config, "elements = { 50230 : 203.0.113.1, 50227 : 203.0.113.2 }");
}

static void networks_are_opened_and_closed_by_sets_of_their_own(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_holds(&f->config,
		"\tset allow_to {\n\t\ttype ipv4_addr; flags interval; auto-merge\n\t}\n");
	egress_prefixes_add(&f->config.policy.opened, prefix("10.1.0.0/16"));
	egress_prefixes_add(&f->config.policy.closed, prefix("198.51.100.0/24"));
	egress_prefixes_add(&f->config.policy.closed, prefix("198.51.101.0/24"));
	assert_holds(&f->config, "auto-merge\n\t\telements = { 10.1.0.0/16 }");
	assert_holds(&f->config, "auto-merge\n\t\telements = { 198.51.100.0/24, 198.51.101.0/24 }");
}

static void services_and_protocols_are_closed_unless_they_are_opened(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_lacks(&f->config, "th dport");
	assert_holds(&f->config, "meta l4proto != { tcp, udp, icmp, sctp } counter");
	f->config.policy.host_ports[f->config.policy.n_host_ports++] = 53;
	f->config.policy.protocols[f->config.policy.n_protocols++] = 47;
	assert_holds(&f->config, "meta l4proto { tcp, udp } th dport 53 return");
	assert_holds(&f->config, "meta l4proto != { tcp, udp, icmp, sctp, 47 } counter");
}

static void the_sets_that_packets_fill_have_room_for_all_peers(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_holds(&f->config, "type ipv4_addr; size 8192; flags dynamic, timeout");
	f->endpoints[0].block = prefix("10.0.0.0/8");
	assert_holds(&f->config, "type ipv4_addr; size 1048576; flags dynamic, timeout");
}

static void source_ports_after_nat_leave_out_the_servers(void **state)
{
	const struct host_config *config = &fixture()->config;

	(void)state;
	assert_holds(config, "{ tcp, udp, sctp } snat to ip saddr map @bind_of : 1024-4098\n");
	assert_holds(config, "{ tcp, udp, sctp } snat to ip saddr map @bind_of : 47149-50223\n");
}

static void of_many_connections_a_sample_is_counted_and_then_half_of_them(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_holds(
		&f->config, "numgen random mod 16 0 add @sampled { ip saddr ct count over 64 }");
	assert_holds(&f->config, "add @counted { ip saddr ct count over 1024 } goto too_many");
	f->config.policy.max_flows_per_peer = 255;
	assert_holds(&f->config, "add @counted { ip saddr ct count over 255 } goto too_many");
	assert_lacks(&f->config, "numgen");
	f->config.policy.max_flows_per_peer = 256;
	assert_holds(
		&f->config, "numgen random mod 2 0 add @sampled { ip saddr ct count over 64 }");
}

static void a_slice_of_source_ports_has_room_for_a_peers_connections(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	assert_holds(&f->config, "chain slice_15 {");
	assert_holds(&f->config, "ip saddr & 0.0.0.15 vmap { 0.0.0.0 : goto slice_0, ");
	f->config.policy.max_flows_per_peer = 20000;
	assert_holds(&f->config, "ip saddr & 0.0.0.1 vmap { 0.0.0.0 : goto slice_0, 0.0.0.1 : ");
	assert_lacks(&f->config, "chain slice_2 {");
	f->config.policy.max_flows_per_peer = 1000000;
	assert_holds(&f->config, "chain source_nat {\n\t\tgoto slice_0\n");
}

static void nobody_pays_for_destinations_of_tokens_where_there_are_none(void **state)
{
	struct fixture *f = fixture();
	struct confinement confinement;
	const struct prefix to = prefix("192.0.2.0/24");

	(void)state;
	assert_int_equal(confinement_init(&confinement), 0);
	f->config.confinement = &confinement;
	assert_lacks(&f->config, "confined");
	assert_int_equal(confinement_set(&confinement, ipv4("10.100.0.2"), &to, 1), 0);
	assert_int_equal(egress_prefixes_add(&f->config.policy.closed, prefix("192.0.2.1/32")), 0);
	f->config.internal = (struct internal_network){.network = prefix("10.0.0.0/24")};
	/* What is closed to all comes first, then these, then what is opened to all. */
	assert_holds(&f->config, "@deny_to counter name refused_destination goto refuse\n"
				 "\t\tip daddr 10.0.0.0/24 oifname != \"\" counter name "
				 "refused_destination goto refuse\n"
				 "\t\tip saddr @peers_confined goto confined_to\n"
				 "\t\tip daddr 10.0.0.0/24 return\n"
				 "\t\tip daddr @closed_to goto to_closed\n");
	confinement_free(&confinement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_table_is_replaced_in_one_transaction),
		cmocka_unit_test(every_endpoint_has_its_names_addresses_and_port),
		cmocka_unit_test(the_way_back_is_looked_up_for_ipip_links_and_not_for_devices),
		cmocka_unit_test(the_interface_that_peers_share_is_of_no_endpoint_and_needs_a_mark),
		cmocka_unit_test(the_interface_that_peers_share_stays_where_an_endpoint_goes),
		cmocka_unit_test(unknown_connections_are_dropped_where_the_kernel_can_tell_them),
		cmocka_unit_test(peers_reach_each_other_only_where_that_is_allowed),
		cmocka_unit_test(link_local_addresses_are_reached_only_where_that_is_allowed),
		cmocka_unit_test(each_endpoints_port_has_the_address_that_wireguard_sends_from),
		cmocka_unit_test(networks_are_opened_and_closed_by_sets_of_their_own),
		cmocka_unit_test(services_and_protocols_are_closed_unless_they_are_opened),
		cmocka_unit_test(the_sets_that_packets_fill_have_room_for_all_peers),
		cmocka_unit_test(source_ports_after_nat_leave_out_the_servers),
		cmocka_unit_test(of_many_connections_a_sample_is_counted_and_then_half_of_them),
		cmocka_unit_test(nobody_pays_for_destinations_of_tokens_where_there_are_none),
		cmocka_unit_test(a_slice_of_source_ports_has_room_for_a_peers_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
