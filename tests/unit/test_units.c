#include "test.h"

#include "cmd/units.h"

#define S UINT64_C(1000)

static void bytes_are_written_as_wg_writes_them(void **state)
{
	(void)state;
	assert_string_equal(unit_bytes(0).s, "0 B");
	assert_string_equal(unit_bytes(1023).s, "1023 B");
	assert_string_equal(unit_bytes(1024).s, "1.00 KiB");
	assert_string_equal(unit_bytes(1240).s, "1.21 KiB");
	assert_string_equal(unit_bytes(UINT64_C(5) << 30).s, "5.00 GiB");
	assert_string_equal(unit_bytes(UINT64_MAX).s, "16.00 EiB");
}

static void no_number_of_a_unit_reaches_the_next_one(void **state)
{
	(void)state;
	assert_string_equal(unit_bytes((1 << 20) - 1).s, "1.00 MiB");
	assert_string_equal(unit_bytes((1 << 20) - 6).s, "1023.99 KiB");
}

static void a_rate_is_bytes_by_the_second(void **state)
{
	(void)state;
	assert_string_equal(unit_rate(0).s, "0 B/s");
	assert_string_equal(unit_rate(3 << 19).s, "1.50 MiB/s");
}

static void where_there_is_little_room_a_number_takes_five_columns(void **state)
{
	(void)state;
	assert_string_equal(unit_short(0).s, "0");
	assert_string_equal(unit_short(1023).s, "1023");
	assert_string_equal(unit_short(1024).s, "1.0K");
	assert_string_equal(unit_short(10188).s, "9.9K");
	assert_string_equal(unit_short(10189).s, "10K");
	assert_string_equal(unit_short((1 << 20) - 600).s, "1023K");
	assert_string_equal(unit_short((1 << 20) - 1).s, "1.0M");
	assert_string_equal(unit_short(UINT64_MAX).s, "16E");
}

static void a_span_has_its_two_largest_units(void **state)
{
	(void)state;
	assert_string_equal(unit_span(0).s, "0s");
	assert_string_equal(unit_span(999).s, "0s");
	assert_string_equal(unit_span(59 * S).s, "59s");
	assert_string_equal(unit_span(60 * S).s, "1m 0s");
	assert_string_equal(unit_span(3599 * S).s, "59m 59s");
	assert_string_equal(unit_span(2 * 3600 * S + 61 * S).s, "2h 1m");
	assert_string_equal(unit_span(76 * 3600 * S).s, "3d 4h");
	assert_string_equal(unit_span(UINT64_MAX).s, "213503982334d 14h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_written_as_wg_writes_them),
		cmocka_unit_test(no_number_of_a_unit_reaches_the_next_one),
		cmocka_unit_test(a_rate_is_bytes_by_the_second),
		cmocka_unit_test(where_there_is_little_room_a_number_takes_five_columns),
		cmocka_unit_test(a_span_has_its_two_largest_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
