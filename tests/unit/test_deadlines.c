#include "test.h"

#include <stdlib.h>

#include "device/wireguard/deadlines.h"
#include "random.h"

enum { N = 500 };

static void deadlines_come_in_order_whatever_is_moved_or_taken_out(void **state)
{
	static struct deadline entries[N];
	static uint64_t at[N];
	struct deadlines deadlines = {0};
	struct random random = {99};

	(void)state;
	assert_int_equal(deadlines_reserve(&deadlines, N), 0);
	for (int i = 0; i < N; i++)
		at[i] = DEADLINE_NEVER;
	for (int step = 0; step < 20000; step++) {
		size_t i = random_below(&random, N);
		uint64_t first = DEADLINE_NEVER;

		at[i] = random_below(&random, 4) ? random_below(&random, 1000) : DEADLINE_NEVER;
		deadlines_set(&deadlines, &entries[i], at[i]);
		for (int j = 0; j < N; j++)
			first = at[j] < first ? at[j] : first;
		assert_int_equal(deadlines_next(&deadlines), first);
		if (first == DEADLINE_NEVER)
			continue;
		if (first > 0)
			assert_null(deadlines_due(&deadlines, first - 1));
		assert_int_equal(at[deadlines_due(&deadlines, first) - entries], first);
	}
	for (uint64_t last = 0; deadlines.count > 0;) {
		struct deadline *due = deadlines_due(&deadlines, DEADLINE_NEVER);

		assert_true(at[due - entries] >= last);
		last = at[due - entries];
		deadlines_set(&deadlines, due, DEADLINE_NEVER);
	}
	assert_int_equal(deadlines_next(&deadlines), DEADLINE_NEVER);
	deadlines_free(&deadlines);
}

static void taking_out_what_is_not_in_does_nothing(void **state)
{
	struct deadlines deadlines = {0};
	struct deadline entry = {0};

	(void)state;
	deadlines_set(&deadlines, &entry, DEADLINE_NEVER);
	assert_null(deadlines_due(&deadlines, DEADLINE_NEVER));
	assert_int_equal(deadlines_reserve(&deadlines, 1), 0);
	deadlines_set(&deadlines, &entry, 5);
	deadlines_set(&deadlines, &entry, 3);
	assert_int_equal(deadlines.count, 1);
	deadlines_set(&deadlines, &entry, DEADLINE_NEVER);
	deadlines_set(&deadlines, &entry, DEADLINE_NEVER);
	assert_int_equal(deadlines.count, 0);
	deadlines_free(&deadlines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadlines_come_in_order_whatever_is_moved_or_taken_out),
		cmocka_unit_test(taking_out_what_is_not_in_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
