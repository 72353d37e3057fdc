#include "test.h"

#include <stdlib.h>

#include "client/backoff.h"

static uint32_t lowest(uint32_t limit)
{
	(void)limit;
	return 0;
}

static uint32_t highest(uint32_t limit)
{
	return limit - 1;
}

static void waits_double_up_to_five_seconds(void **state)
{
	static const uint32_t bounds[] = {400, 800, 1600, 3200, 5000, 5000, 5000};
	struct backoff backoff = {.random = highest};

	(void)state;
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
		assert_int_equal(backoff_next(&backoff), bounds[i]);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(backoff_next(&backoff), BACKOFF_MAX_MS);
	backoff_reset(&backoff);
	assert_int_equal(backoff_next(&backoff), bounds[0]);
}

static void no_wait_is_shorter_than_a_fifth_of_a_second(void **state)
{
	struct backoff backoff = {.random = lowest};

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(backoff_next(&backoff), BACKOFF_MIN_MS);
}

static void clients_do_not_wait_equally_long(void **state)
{
	enum { CLIENTS = 1000, SLOTS = 10 };
	unsigned int slots[SLOTS] = {0};

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		struct backoff backoff = {.tries = 5, .random = backoff_random};
		uint32_t wait = backoff_next(&backoff);

		assert_in_range(wait, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
		slots[(wait - BACKOFF_MIN_MS) * SLOTS / (BACKOFF_MAX_MS - BACKOFF_MIN_MS + 1)]++;
	}
	/* 100 each, on average; half of that or twice is 5 standard deviations off */
	for (int i = 0; i < SLOTS; i++)
		assert_in_range(slots[i], CLIENTS / SLOTS / 2, CLIENTS / SLOTS * 2);
}

static void the_servers_word_is_heeded_within_reason(void **state)
{
	struct backoff soonest = {.random = lowest}, latest = {.random = highest};

	(void)state;
	assert_int_equal(backoff_after(&soonest, 8), 8000 + BACKOFF_MIN_MS);
	assert_int_equal(backoff_after(&latest, 8), 8000 + 2000 + 400);
	assert_int_equal(
		backoff_after(&soonest, UINT32_MAX), RETRY_AFTER_MAX_S * 1000 + BACKOFF_MIN_MS);
	assert_int_equal(backoff_after(&soonest, 0), BACKOFF_MIN_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_double_up_to_five_seconds),
		cmocka_unit_test(no_wait_is_shorter_than_a_fifth_of_a_second),
		cmocka_unit_test(clients_do_not_wait_equally_long),
		cmocka_unit_test(the_servers_word_is_heeded_within_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
