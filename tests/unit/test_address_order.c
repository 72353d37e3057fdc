/* Who of a name is asked first. */
#include "test.h"

#include "client/address_order.h"

static const struct request_names abc = {.n = 4, .addresses = {{1}, {2}, {3}, {2}}};

static void is_sorted(const struct address_order *order, const struct request_names *names,
	uint32_t a, uint32_t b, uint32_t c)
{
	struct request_names sorted;

	address_order_sort(order, names, &sorted);
	assert_int_equal(sorted.n, 3);
	assert_int_equal(sorted.addresses[0].value, a);
	assert_int_equal(sorted.addresses[1].value, b);
	assert_int_equal(sorted.addresses[2].value, c);
}

static void those_that_failed_come_last_the_oldest_first(void **state)
{
	struct address_order order = {0};

	(void)state;
	is_sorted(&order, &abc, 1, 2, 3);
	address_order_fail(&order, (struct ipv4){1});
	is_sorted(&order, &abc, 2, 3, 1);
	address_order_fail(&order, (struct ipv4){2});
	address_order_fail(&order, (struct ipv4){1});
	is_sorted(&order, &abc, 3, 2, 1);
}

static void so_they_do_where_names_come_in_another_order_each_time(void **state)
{
	static const struct request_names turned = {.n = 3, .addresses = {{3}, {1}, {2}}};
	struct address_order order = {0};

	(void)state;
	address_order_fail(&order, (struct ipv4){3});
	is_sorted(&order, &turned, 1, 2, 3);
}

static void the_good_one_is_first_and_has_a_second_chance(void **state)
{
	struct address_order order = {0};

	(void)state;
	assert_true(address_order_doubt(&order, (struct ipv4){1}));
	address_order_prove(&order, (struct ipv4){3});
	is_sorted(&order, &abc, 3, 1, 2);
	address_order_fail(&order, (struct ipv4){3});
	is_sorted(&order, &abc, 3, 1, 2);
	assert_false(address_order_doubt(&order, (struct ipv4){3}));
	assert_true(address_order_doubt(&order, (struct ipv4){3}));
	is_sorted(&order, &abc, 1, 2, 3);
}

static void a_good_one_that_the_name_does_not_have_any_more_is_not_asked(void **state)
{
	struct address_order order = {0};

	(void)state;
	address_order_prove(&order, (struct ipv4){9});
	is_sorted(&order, &abc, 1, 2, 3);
}

static void more_failures_than_there_is_room_for_are_forgotten(void **state)
{
	struct address_order order = {0};

	(void)state;
	for (uint32_t i = 1; i <= 2 * REQUEST_ADDRESSES_MAX; i++)
		address_order_fail(&order, (struct ipv4){i});
	assert_int_equal(order.n_failed, REQUEST_ADDRESSES_MAX);
	assert_int_equal(order.failed[0].value, REQUEST_ADDRESSES_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_that_failed_come_last_the_oldest_first),
		cmocka_unit_test(so_they_do_where_names_come_in_another_order_each_time),
		cmocka_unit_test(the_good_one_is_first_and_has_a_second_chance),
		cmocka_unit_test(a_good_one_that_the_name_does_not_have_any_more_is_not_asked),
		cmocka_unit_test(more_failures_than_there_is_room_for_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
