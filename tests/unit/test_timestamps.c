#include "test.h"

#include <string.h>

#include "device/wireguard/noise.h"
#include "device/wireguard/timestamps.h"

static const uint64_t second = 1000000000, now = UINT64_C(1795000000) * 1000000000;

static void the_time_of_day_is_taken_as_it_is(void **state)
{
	struct timestamps timestamps = {0};

	(void)state;
	for (uint64_t s = 0; s < 100; s++) {
		assert_int_equal(
			timestamps_look(&timestamps, now + s * second, 1000 * s), now + s * second);
		assert_int_equal(
			timestamps_next(&timestamps, now + s * second, 1000 * s), now + s * second);
	}
}

static void a_clock_that_is_set_back_is_not_followed_and_time_goes_on(void **state)
{
	struct timestamps timestamps = {0};

	(void)state;
	timestamps_next(&timestamps, now, 5000);
	assert_int_equal(timestamps_next(&timestamps, now - 3600 * second, 5000), now);
	assert_int_equal(timestamps_next(&timestamps, now - 3600 * second, 7000), now + 2 * second);
	/* until the time of day has caught up, or was put right */
	assert_int_equal(timestamps_next(&timestamps, now + 3 * second, 7500), now + 3 * second);
}

static void what_is_cut_off_of_a_millisecond_adds_up_to_nothing(void **state)
{
	struct timestamps timestamps = {0};
	const uint64_t step = 999999; /* ns */

	(void)state;
	for (uint64_t ns = 0; ns < second; ns += step) {
		uint64_t next = timestamps_next(&timestamps, now + ns, (now + ns) / 1000000);

		assert_true(next >= now + ns && next <= now + ns + 1000000);
	}
}

static void all_that_follow_a_floor_are_later_as_they_are_sent(void **state)
{
	uint8_t last[TIMESTAMP_SIZE], next[TIMESTAMP_SIZE];

	(void)state;
	for (uint64_t ns = 0; ns < second; ns += second / 1000) {
		struct timestamps timestamps = {0};

		noise_timestamp(now + ns, last);
		timestamps_raise(&timestamps, now + ns, 5000);
		noise_timestamp(timestamps_next(&timestamps, now - second, 5000), next);
		assert_true(memcmp(next, last, TIMESTAMP_SIZE) > 0);
	}
}

static void a_floor_that_is_lower_changes_nothing(void **state)
{
	struct timestamps timestamps = {0};

	(void)state;
	timestamps_raise(&timestamps, now, 5000);
	timestamps_raise(&timestamps, now - 3600 * second, 6000);
	timestamps_raise(&timestamps, 0, 6000);
	assert_true(timestamps_look(&timestamps, 0, 6000) >= now + second);
	assert_true(timestamps_look(&timestamps, 0, 6000) < now + 2 * second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_time_of_day_is_taken_as_it_is),
		cmocka_unit_test(a_clock_that_is_set_back_is_not_followed_and_time_goes_on),
		cmocka_unit_test(what_is_cut_off_of_a_millisecond_adds_up_to_nothing),
		cmocka_unit_test(all_that_follow_a_floor_are_later_as_they_are_sent),
		cmocka_unit_test(a_floor_that_is_lower_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
