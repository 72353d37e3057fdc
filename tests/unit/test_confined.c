/* Addresses that reach some destinations alone: the table in memory, and the kernel's sets of them,
 * in a network namespace of the test's own. */
#include "addresses.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/netfilter.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "host/confinement.h"
#include "host/firewall_confined.h"
#include "host/firewall_text.h"
#include "host/host_config.h"
#include "netlink/socket.h"
#include "nftables/nft.h"
#include "nftables/set_elements.h"

enum { MANY = 500, TRIES = 1000, PAUSE_US = 10 * 1000 };

static int set_up(void **state)
{
	struct confinement *confinement = calloc(1, sizeof *confinement);

	*state = confinement;
	return confinement ? confinement_init(confinement) : -1;
}

static int tear_down(void **state)
{
	confinement_free(*state);
	free(*state);
	return 0;
}

static void what_an_address_reaches_is_the_last_that_was_said(void **state)
{
	struct confinement *confinement = *state;
	const struct ipv4 inner = ipv4("10.100.0.2");
	const struct prefix two[] = {
		prefix("10.0.0.0/8"), prefix("192.0.2.0/24"), prefix("10.0.0.0/8")};
	const struct prefix turned[] = {two[1], two[0]};

	assert_true(confinement_is(confinement, inner, NULL, 0));
	assert_int_equal(confinement_set(confinement, inner, two, 3), 0);
	assert_int_equal(confinement_find(confinement, inner)->n, 2);
	assert_true(confinement_is(confinement, inner, turned, 2));
	assert_false(confinement_is(confinement, inner, two, 1));
	assert_false(confinement_is(confinement, inner, NULL, 0));
	assert_int_equal(confinement->n_of_length[8], 1);
	assert_int_equal(confinement_set(confinement, inner, two, 0), 0);
	assert_int_equal(confinement_find(confinement, inner)->n, 0); /* nothing */
	assert_int_equal(confinement_set(confinement, inner, NULL, 0), 0);
	assert_null(confinement_find(confinement, inner));
	assert_int_equal(confinement->n_of_length[8], 0);
	assert_true(
		confinement->shape == (CONFINEMENT_USED | UINT64_C(1) << 8 | UINT64_C(1) << 24));
}

/* The whole table, in a namespace where there is none. */
static void load(const struct confinement *confinement)
{
	struct host_endpoint endpoint = {0, ipv4("203.0.113.1"), prefix("10.100.0.0/16"), 50227};
	struct host_config config = {.endpoints = &endpoint,
		.n_endpoints = 1,
		.max_endpoints = 1,
		.whole_block = prefix("10.100.0.0/16"),
		.allow_peer_to_peer = true,
		.policy = {.max_flows_per_peer = 2048, .n_host_ports = 1, .host_ports = {53}},
		.confinement = (struct confinement *)confinement};
	auto_free char *text = firewall_text(&config);
	struct nft_error reason = {""};

	if (nft_run(text, &reason) < 0)
		fail_msg("%s in:\n%s", reason.text, text);
}

static bool is_read_as(const struct confinement *expected)
{
	struct confinement found;
	bool is_same;

	assert_int_equal(confinement_init(&found), 0);
	assert_int_equal(firewall_read_confined(&found), 0);
	is_same = found.table.count == expected->table.count;
	hash_for_each (&expected->table, node) {
		const struct confined *confined = hash_entry(node, struct confined, node);

		is_same = is_same &&
			  confinement_is(&found, confined->inner, confined->to, confined->n);
	}
	confinement_free(&found);
	return is_same;
}

/* While the kernel gives a set's hash table another size it lists too much, or too little. */
static void assert_kernel_has(const struct confinement *expected)
{
	int tries = TRIES;

	while (!(is_read_as(expected) && firewall_has_confined(expected)) && tries-- > 0)
		usleep(PAUSE_US);
	assert_true(tries >= 0);
}

static void change(struct netlink *netlink, struct confinement *confinement, struct ipv4 inner,
	const struct prefix *to, size_t n)
{
	const struct confining changes[] = {{inner, to, n}};

	assert_true(firewall_change_confined(netlink, confinement, changes, 1) >= 0);
}

static void what_the_kernel_has_is_what_was_said_and_anything_else_is_seen(void **state)
{
	struct confinement *confinement = *state;
	const struct prefix to[] = {
		prefix("0.0.0.0/0"), prefix("10.0.0.0/8"), prefix("192.0.2.1/32")};
	struct confining many[MANY];
	struct nft_error reason;
	struct netlink *netlink;

	if (unshare(CLONE_NEWNET) < 0)
		skip();
	assert_int_equal(netlink_open(NETLINK_NETFILTER, &netlink), 0);
	assert_int_equal(firewall_read_confined(confinement), 0); /* there is no table */
	assert_int_equal(confinement_set(confinement, ipv4("10.100.0.2"), to, 3), 0);
	load(confinement);
	assert_kernel_has(confinement);
	for (uint32_t i = 0; i < MANY; i++)
		many[i] = (struct confining){
			{ipv4("10.100.1.0").value + i}, to + i % 3, i % 3 ? 1 : 3};
	assert_true(firewall_change_confined(netlink, confinement, many, MANY) > 1);
	assert_kernel_has(confinement);
	assert_int_equal(firewall_change_confined(netlink, confinement, many, MANY), 0);
	change(netlink, confinement, many[0].inner, to, 0);
	change(netlink, confinement, many[1].inner, to, 2);
	change(netlink, confinement, many[2].inner, NULL, 0);
	assert_kernel_has(confinement);
	load(confinement); /* with all elements */
	assert_kernel_has(confinement);
	assert_int_equal(
		nft_run("delete element ip vprox peers_confined { 10.100.0.2 }", &reason), 0);
	assert_false(firewall_has_confined(confinement));
	load(confinement);
	assert_int_equal(
		nft_run("add element ip vprox peers_reach_8 { 10.100.0.2 . 11.0.0.0 }", &reason),
		0);
	assert_false(firewall_has_confined(confinement));
	netlink_close(netlink);
}

static int count_element(void *context, const struct set_element *element)
{
	(void)element;
	++*(size_t *)context;
	return 0;
}

static void of_a_batch_that_fails_nothing_is_made(void **state)
{
	const struct set_element one = {.words = {1}, .n_words = 1},
				 two = {.words = {2}, .n_words = 1};
	struct set_elements_batch batch;
	struct nft_error reason;
	struct netlink *netlink;
	size_t n = 0;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	assert_int_equal(netlink_open(NETLINK_NETFILTER, &netlink), 0);
	assert_int_equal(
		nft_run("add table ip t\nadd set ip t s { type ipv4_addr; }\n", &reason), 0);
	set_elements_begin(&batch, NFPROTO_IPV4, "t");
	assert_true(set_elements_is_empty(&batch));
	set_elements_add(&batch, "s", &one);
	set_elements_delete(&batch, "s", &two);
	assert_int_equal(set_elements_commit(netlink, &batch), -ENOENT);
	set_elements_begin(&batch, NFPROTO_IPV4, "none");
	set_elements_add(&batch, "s", &one);
	assert_int_equal(set_elements_commit(netlink, &batch), -ENOENT);
	assert_int_equal(set_elements_read(NFPROTO_IPV4, "t", "s", count_element, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(set_elements_read(NFPROTO_IPV4, "t", "none", count_element, &n), -ENOENT);
	netlink_close(netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_an_address_reaches_is_the_last_that_was_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_the_kernel_has_is_what_was_said_and_anything_else_is_seen, set_up,
			tear_down),
		cmocka_unit_test(of_a_batch_that_fails_nothing_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
