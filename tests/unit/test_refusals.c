#include "test.h"

#include "ipc/refusals.h"

static struct refused_request refusal_of(uint32_t source, uint32_t count)
{
	return (struct refused_request){{source}, {1}, 2, REFUSAL_PASSWORD, count};
}

static void those_that_are_alike_are_one(void **state)
{
	struct refused_requests refusals = {0};
	struct refused_request refusal = refusal_of(7, 1);

	(void)state;
	assert_int_equal(refusals_add(&refusals, &refusal), 0);
	assert_int_equal(refusals_add(&refusals, &refusal), 0);
	refusal.reason = REFUSAL_POOL;
	assert_int_equal(refusals_add(&refusals, &refusal), 1);
	assert_true(refusals_take(&refusals, &refusal));
	assert_int_equal(refusal.reason, REFUSAL_POOL);
	assert_true(refusals_take(&refusals, &refusal));
	assert_int_equal(refusal.count, 2);
	assert_false(refusals_take(&refusals, &refusal));
	assert_true(refusals_are_empty(&refusals));
}

static void what_finds_no_place_is_counted(void **state)
{
	struct refused_requests refusals = {0};
	struct refused_request refusal;
	uint32_t n = 0;

	(void)state;
	for (uint32_t source = 1; source <= REFUSALS_MAX + 10; source++) {
		refusal = refusal_of(source, 3);
		refusals_add(&refusals, &refusal);
	}
	while (refusals_take(&refusals, &refusal) && refusal.reason != REFUSAL_VARIOUS)
		n++;
	assert_int_equal(n, REFUSALS_MAX);
	assert_int_equal(refusal.count, 30);
	assert_int_equal(refusal.source.value, 0);
}

static void a_count_that_is_full_stays_so(void **state)
{
	struct refused_requests refusals = {0};
	struct refused_request refusal = refusal_of(7, UINT32_MAX);

	(void)state;
	refusals_add(&refusals, &refusal);
	refusals_add(&refusals, &refusal);
	assert_true(refusals_take(&refusals, &refusal));
	assert_int_equal(refusal.count, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_that_are_alike_are_one),
		cmocka_unit_test(what_finds_no_place_is_counted),
		cmocka_unit_test(a_count_that_is_full_stays_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
