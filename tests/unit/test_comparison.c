/* What disagrees of three lists of who has which address. */
#include "test.h"

#include "check/comparison.h"
#include "check/disagreements.h"
#include "check/holders.h"

static const struct ipv4 bind_address = {0xcb007101};

struct fixture {
	struct holder_list there, table, stored;
	struct disagreements disagreements;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	holders_free(&f->there);
	holders_free(&f->table);
	holders_free(&f->stored);
	disagreements_free(&f->disagreements);
	return 0;
}

static struct holder wireguard(uint8_t key, uint32_t inner)
{
	return (struct holder){bind_address,
		{.kind = PEER_WIREGUARD, .key = {{key}}, .inner = {0x0a000000 + inner}}};
}

static struct holder ipip(uint32_t remote, uint32_t inner)
{
	return (struct holder){bind_address,
		{.kind = PEER_IPIP, .remote = {remote}, .inner = {0x0a000000 + inner}}};
}

static void add(struct holder_list *list, struct holder holder)
{
	assert_int_equal(holders_add(list, &holder), 0);
	holders_sort(list);
}

static void add_everywhere(struct fixture *f, struct holder holder)
{
	add(&f->there, holder);
	add(&f->table, holder);
	add(&f->stored, holder);
}

static size_t compare(struct fixture *f)
{
	const struct comparison comparison = {&f->there, &f->table, &f->stored};

	disagreements_free(&f->disagreements);
	assert_int_equal(compare_holders(&comparison, &f->disagreements), 0);
	return f->disagreements.n;
}

static size_t compare_without_server(struct fixture *f)
{
	const struct comparison comparison = {&f->there, NULL, &f->stored};

	disagreements_free(&f->disagreements);
	assert_int_equal(compare_holders(&comparison, &f->disagreements), 0);
	return f->disagreements.n;
}

static void assert_told(const struct fixture *f, const char *subject, const char *fault)
{
	for (size_t i = 0; i < f->disagreements.n; i++)
		if (strncmp(f->disagreements.list[i].subject, subject, strlen(subject)) == 0 &&
			strncmp(f->disagreements.list[i].fault, fault, strlen(fault)) == 0)
			return;
	fail_msg("nothing is told of %s: %s", subject, fault);
}

static void lists_that_are_the_same_in_any_order_agree(void **state)
{
	struct fixture *f = *state;

	for (uint8_t i = 1; i < 40; i++)
		add_everywhere(f, i % 3 ? wireguard((uint8_t)(200 - i), i) : ipip(1000U - i, i));
	assert_int_equal(compare(f), 0);
	assert_int_equal(compare_without_server(f), 0);
}

static void who_is_missing_anywhere_is_told(void **state)
{
	struct fixture *f = *state;

	add_everywhere(f, wireguard(1, 2));
	add(&f->there, wireguard(2, 3));
	add(&f->table, ipip(7, 4));
	add(&f->stored, wireguard(4, 5));
	assert_int_equal(compare(f), 4);
	assert_told(f, "WireGuard peer Ag", "has a tunnel that is not in the server's table");
	assert_told(f, "IPIP peer 0.0.0.7", "is in the server's table, and has no such tunnel");
	assert_told(f, "IPIP peer 0.0.0.7", "is not in the store");
	assert_told(f, "WireGuard peer BA", "is in the store, and not in the server's table");
}

static void another_address_is_told_of_both(void **state)
{
	struct fixture *f = *state;

	add(&f->there, wireguard(1, 2));
	add(&f->table, wireguard(1, 2));
	add(&f->stored, wireguard(1, 3));
	assert_int_equal(compare(f), 2);
	assert_told(f, "WireGuard peer AQ", "is not in the store");
	assert_told(f, "WireGuard peer AQ", "is in the store, and not in the server's table");
}

static void a_peer_that_was_promised_two_addresses_is_told(void **state)
{
	struct fixture *f = *state;

	add_everywhere(f, wireguard(1, 2));
	add(&f->stored, wireguard(1, 3));
	assert_int_equal(compare(f), 1);
	assert_int_equal(f->disagreements.list[0].inner.value, 0x0a000003);
}

static void an_address_of_two_is_told(void **state)
{
	struct fixture *f = *state;

	add_everywhere(f, wireguard(1, 2));
	add(&f->there, ipip(9, 2));
	assert_int_equal(compare(f), 2);
	assert_told(f, "", "has an address that another tunnel has too");
}

static void without_a_server_both_others_are_compared(void **state)
{
	struct fixture *f = *state;

	add(&f->there, wireguard(1, 2));
	add(&f->stored, wireguard(2, 3));
	assert_int_equal(compare_without_server(f), 2);
	assert_told(f, "WireGuard peer AQ", "has a tunnel, and is not in the store");
	assert_told(f, "WireGuard peer Ag", "is in the store, and has no such tunnel");
}

static void what_cannot_be_asked_disagrees_with_nobody(void **state)
{
	struct fixture *f = *state;
	const struct comparison comparison = {NULL, &f->table, NULL};

	add(&f->table, wireguard(1, 2));
	assert_int_equal(compare_holders(&comparison, &f->disagreements), 0);
	assert_int_equal(f->disagreements.n, 0);
}

static void what_is_not_there_the_second_time_was_under_way(void **state)
{
	struct fixture *f = *state;
	struct disagreements first;

	add(&f->there, wireguard(1, 2));
	add(&f->there, wireguard(2, 3));
	assert_int_equal(compare(f), 2);
	first = f->disagreements;
	f->disagreements = (struct disagreements){0};
	add(&f->table, wireguard(1, 2));
	add(&f->stored, wireguard(1, 2));
	assert_int_equal(compare(f), 1);
	disagreements_keep_common(&first, &f->disagreements);
	assert_int_equal(first.n, 1);
	assert_int_equal(first.list[0].inner.value, 0x0a000003);
	disagreements_free(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lists_that_are_the_same_in_any_order_agree, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_missing_anywhere_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(another_address_is_told_of_both, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_peer_that_was_promised_two_addresses_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_of_two_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_a_server_both_others_are_compared, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_asked_disagrees_with_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_not_there_the_second_time_was_under_way, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
