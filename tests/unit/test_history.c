/* From when on etcd's history is needed. */
#include "store/history.h"

#include "test.h"

enum {
	AN_HOUR = 3600 * 1000,
	PART = AN_HOUR / HISTORY_PARTS,
};

static void what_is_as_old_as_is_kept_is_needed_by_nobody(void **state)
{
	struct history history = {.keep_ms = AN_HOUR};

	(void)state;
	for (unsigned int i = 0; i < HISTORY_PARTS; i++)
		assert_int_equal(history_add(&history, 1000 + i * PART, 100 + i), 0);
	assert_int_equal(history_add(&history, 1000 + AN_HOUR, 200), 100);
	assert_int_equal(history_add(&history, 1000 + AN_HOUR + PART, 201), 101);
}

static void what_is_compacted_is_not_asked_for_again(void **state)
{
	struct history history = {.keep_ms = AN_HOUR, .compacted = 100};

	(void)state;
	/* Nothing was written meanwhile. */
	for (unsigned int i = 0; i < 30; i++)
		assert_int_equal(history_add(&history, 1000 + i * PART, 100), 0);
}

static void after_a_pause_the_latest_that_is_old_enough_counts(void **state)
{
	struct history history = {.keep_ms = AN_HOUR};

	(void)state;
	history_add(&history, 1000, 5);
	history_add(&history, 1000 + PART, 9);
	assert_int_equal(history_add(&history, 1000 + 50UL * AN_HOUR, 9), 9);
}

static void a_sample_is_due_at_once_and_then_once_a_part(void **state)
{
	struct history history = {.keep_ms = AN_HOUR};

	(void)state;
	assert_true(history_is_due(&history, 1000));
	history_add(&history, 1000, 5);
	assert_false(history_is_due(&history, 1000 + PART - 1));
	assert_true(history_is_due(&history, 1000 + PART));
}

static void where_others_see_to_it_none_is_due(void **state)
{
	struct history history = {.keep_ms = 0};

	(void)state;
	assert_false(history_is_due(&history, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_as_old_as_is_kept_is_needed_by_nobody),
		cmocka_unit_test(what_is_compacted_is_not_asked_for_again),
		cmocka_unit_test(after_a_pause_the_latest_that_is_old_enough_counts),
		cmocka_unit_test(a_sample_is_due_at_once_and_then_once_a_part),
		cmocka_unit_test(where_others_see_to_it_none_is_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
