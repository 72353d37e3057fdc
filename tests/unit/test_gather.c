#include "test.h"

#include "store/gather.h"

static void who_is_alone_waits_for_nobody(void **state)
{
	(void)state;
	assert_int_equal(gather_us(0, 3000, false), 0);
	assert_int_equal(gather_us(1, 3000, false), 0);
}

static void where_several_came_the_next_are_waited_for_as_long_as_the_last_took(void **state)
{
	(void)state;
	assert_int_equal(gather_us(2, 300, false), 300);
	assert_int_equal(gather_us(2, 1000 * 1000, false), GATHER_MAX_US);
}

/* One at a time came to a fast disk, and each had a transaction of its own. */
static void where_the_processors_have_work_a_fast_disk_is_waited_with(void **state)
{
	(void)state;
	assert_int_equal(gather_us(1, 300, true), GATHER_BUSY_US);
	assert_int_equal(gather_us(5, 300, true), GATHER_BUSY_US);
	assert_int_equal(gather_us(5, 3000, true), 3000);
	assert_int_equal(gather_us(5, 1000 * 1000, true), GATHER_MAX_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_alone_waits_for_nobody),
		cmocka_unit_test(
			where_several_came_the_next_are_waited_for_as_long_as_the_last_took),
		cmocka_unit_test(where_the_processors_have_work_a_fast_disk_is_waited_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
