#include "test.h"

#include "server/assignment.h"
#include "server/promised.h"

static const struct promised nothing;

static const struct ipv4 a = {1}, b = {2}, c = {3};

static void fresh_addresses_get_indexes_in_their_order(void **state)
{
	const struct ipv4 binds[] = {a, b};
	struct assignment got[2];

	(void)state;
	assign_indexes(binds, 2, NULL, 0, 4, &nothing, got);
	assert_int_equal(got[0].index, 0);
	assert_int_equal(got[1].index, 1);
	assert_false(got[0].adopts || got[1].adopts);
}

static void another_order_of_addresses_swaps_nothing(void **state)
{
	const struct ipv4 binds[] = {b, a};
	const struct plane_leftover leftovers[] = {{0, true, a}, {1, true, b}};
	struct assignment got[2];

	(void)state;
	assign_indexes(binds, 2, leftovers, 2, 2, &nothing, got);
	assert_int_equal(got[0].index, 1);
	assert_int_equal(got[1].index, 0);
	assert_true(got[0].adopts && got[1].adopts);
}

static void an_interface_without_alias_is_known_by_its_position(void **state)
{
	const struct ipv4 binds[] = {a, b};
	const struct plane_leftover leftovers[] = {{0, false, {0}}, {1, false, {0}}};
	struct assignment got[2];

	(void)state;
	assign_indexes(binds, 2, leftovers, 2, 2, &nothing, got);
	assert_true(got[0].index == 0 && got[0].adopts);
	assert_true(got[1].index == 1 && got[1].adopts);
}

static void an_address_no_longer_served_is_stale_and_its_index_is_used_again(void **state)
{
	const struct ipv4 binds[] = {b, c};
	const struct plane_leftover leftovers[] = {{0, true, a}, {1, true, b}};
	struct assignment got[2];

	(void)state;
	assign_indexes(binds, 2, leftovers, 2, 2, &nothing, got);
	assert_true(got[0].index == 1 && got[0].adopts);
	assert_true(got[1].index == 0 && !got[1].adopts);
	assert_true(assignment_is_stale(&leftovers[0], got, 2));
	assert_false(assignment_is_stale(&leftovers[1], got, 2));
}

static void an_index_without_a_block_is_not_adopted(void **state)
{
	const struct ipv4 binds[] = {a};
	const struct plane_leftover leftovers[] = {{5, true, a}};
	struct assignment got[1];

	(void)state;
	assign_indexes(binds, 1, leftovers, 1, 4, &nothing, got);
	assert_true(got[0].index == 0 && !got[0].adopts);
	assert_true(assignment_is_stale(&leftovers[0], got, 1));
}

static void of_two_interfaces_with_one_alias_the_lower_is_adopted(void **state)
{
	const struct ipv4 binds[] = {a};
	const struct plane_leftover leftovers[] = {{2, true, a}, {1, true, a}};
	struct assignment got[1];

	(void)state;
	assign_indexes(binds, 1, leftovers, 2, 4, &nothing, got);
	assert_true(got[0].index == 1 && got[0].adopts);
	assert_true(assignment_is_stale(&leftovers[0], got, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh_addresses_get_indexes_in_their_order),
		cmocka_unit_test(another_order_of_addresses_swaps_nothing),
		cmocka_unit_test(an_interface_without_alias_is_known_by_its_position),
		cmocka_unit_test(an_address_no_longer_served_is_stale_and_its_index_is_used_again),
		cmocka_unit_test(an_index_without_a_block_is_not_adopted),
		cmocka_unit_test(of_two_interfaces_with_one_alias_the_lower_is_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
