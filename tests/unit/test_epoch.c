#include "test.h"

#include "base/epoch.h"

static struct epoch epoch;
static int n_freed;

static int set_up(void **state)
{
	(void)state;
	n_freed = 0;
	return epoch_init(&epoch, 2);
}

static int tear_down(void **state)
{
	(void)state;
	epoch_free(&epoch);
	return 0;
}

static void count(struct epoch_node *node)
{
	(void)node;
	n_freed++;
}

/* A reader ends one batch and begins the next. */
static void pass(size_t reader)
{
	epoch_offline(&epoch, reader);
	epoch_online(&epoch, reader);
}

static void without_readers_all_is_freed_at_once(void **state)
{
	struct epoch_node nodes[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		epoch_retire(&epoch, &nodes[i], count);
	assert_int_equal(n_freed, 0);
	assert_int_equal(epoch_reclaim(&epoch), 0);
	assert_int_equal(n_freed, 3);
}

static void what_is_retired_waits_for_every_reader_to_pass(void **state)
{
	struct epoch_node node;

	(void)state;
	epoch_online(&epoch, 0);
	epoch_online(&epoch, 1);
	epoch_retire(&epoch, &node, count);
	assert_int_equal(epoch_reclaim(&epoch), 1);
	pass(0);
	assert_int_equal(epoch_reclaim(&epoch), 1);
	pass(0);
	assert_int_equal(epoch_reclaim(&epoch), 1);
	pass(1);
	assert_int_equal(n_freed, 0);
	assert_int_equal(epoch_reclaim(&epoch), 0);
	assert_int_equal(n_freed, 1);
}

static void nobody_waits_for_a_reader_that_sleeps(void **state)
{
	struct epoch_node node, later;

	(void)state;
	epoch_online(&epoch, 0);
	epoch_online(&epoch, 1);
	epoch_retire(&epoch, &node, count);
	epoch_offline(&epoch, 0);
	epoch_offline(&epoch, 1);
	assert_int_equal(epoch_reclaim(&epoch), 0);
	epoch_online(&epoch, 0);
	epoch_retire(&epoch, &later, count);
	assert_int_equal(epoch_reclaim(&epoch), 1);
	epoch_offline(&epoch, 0);
	assert_int_equal(epoch_reclaim(&epoch), 0);
}

static void a_reader_that_comes_later_holds_nothing_back(void **state)
{
	struct epoch_node node;

	(void)state;
	epoch_retire(&epoch, &node, count);
	epoch_online(&epoch, 0);
	assert_int_equal(epoch_reclaim(&epoch), 0);
}

static struct epoch_node second;

static void retire_another(struct epoch_node *node)
{
	count(node);
	epoch_retire(&epoch, &second, count);
}

static void what_is_freed_may_retire_more(void **state)
{
	struct epoch_node node;

	(void)state;
	epoch_retire(&epoch, &node, retire_another);
	epoch_free(&epoch);
	assert_int_equal(n_freed, 2);
	epoch_init(&epoch, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			without_readers_all_is_freed_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_retired_waits_for_every_reader_to_pass, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nobody_waits_for_a_reader_that_sleeps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_reader_that_comes_later_holds_nothing_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_freed_may_retire_more, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
