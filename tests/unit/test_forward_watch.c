/* When it is said that other firewalls drop what tunnels send. */
#include "test.h"

#include "host/forward_watch.h"

static bool update(struct forward_watch *watch, uint64_t forwarded, uint64_t leaving)
{
	return forward_watch_update(watch, &(struct forward_counts){forwarded, 0, leaving});
}

static void it_is_said_once_that_nothing_gets_through_and_once_that_something_does(void **state)
{
	struct forward_watch watch = {0};

	(void)state;
	assert_false(update(&watch, 100, 0));
	assert_true(update(&watch, 101, 0));
	assert_true(watch.is_reported);
	assert_false(update(&watch, 500, 0));
	assert_true(update(&watch, 501, 1));
	assert_false(watch.is_reported);
	assert_false(update(&watch, 502, 2));
	assert_false(update(&watch, 602, 2));
	assert_true(update(&watch, 603, 2));
}

static void a_few_that_are_lost_are_no_news(void **state)
{
	struct forward_watch watch = {0};

	(void)state;
	for (uint64_t n = 1; n < 10; n++)
		assert_false(update(&watch, n, 0));
	assert_true(update(&watch, 10, 0));
}

static void nor_are_many_while_any_gets_through(void **state)
{
	struct forward_watch watch = {0};

	(void)state;
	for (uint64_t n = 1; n < 10; n++)
		assert_false(update(&watch, 1000 * n, n));
}

static void what_a_clients_limits_refuse_is_not_lost(void **state)
{
	struct forward_watch watch = {0};

	(void)state;
	for (uint64_t n = 1; n < 10; n++) {
		const struct forward_counts all_refused = {100 * n, 100 * n + 5, 0};

		assert_false(forward_watch_update(&watch, &all_refused));
	}
}

static void while_nobody_begins_anything_nothing_is_lost(void **state)
{
	struct forward_watch watch = {0};

	(void)state;
	assert_false(update(&watch, 100, 0));
	for (int n = 0; n < 10; n++)
		assert_false(update(&watch, 100, 0));
}

static void a_table_that_was_loaded_again_counts_from_the_beginning(void **state)
{
	struct forward_watch watch = {0};

	(void)state;
	assert_false(update(&watch, 1000, 1000));
	assert_false(update(&watch, 20, 20));
	assert_false(update(&watch, 30, 20));
	assert_true(update(&watch, 31, 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			it_is_said_once_that_nothing_gets_through_and_once_that_something_does),
		cmocka_unit_test(a_few_that_are_lost_are_no_news),
		cmocka_unit_test(nor_are_many_while_any_gets_through),
		cmocka_unit_test(what_a_clients_limits_refuse_is_not_lost),
		cmocka_unit_test(while_nobody_begins_anything_nothing_is_lost),
		cmocka_unit_test(a_table_that_was_loaded_again_counts_from_the_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
