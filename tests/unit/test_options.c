#include "test.h"

#include <errno.h>

#include "cmd/options.h"

static void a_time_is_a_number_and_a_unit_seconds_by_default(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"2", 2000}, {"2s", 2000}, {"500ms", 500}, {"5m", 300000}, {"1h", 3600000}};
	static const char *const bad[] = {
		"", "0", "0ms", "-1", "1.5s", "s", "5 m", "5mm", "99999h", "1000000000000000"};
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(option_parse_duration(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(option_parse_duration(bad[i], &ms), -EINVAL);
}

static void a_number_out_of_range_is_refused(void **state)
{
	static const char *const bad[] = {"", "0", "101", "-5", "+5", "5x", " 5", "99999999999"};
	unsigned int number;

	(void)state;
	assert_int_equal(option_parse_number("100", 1, 100, &number), 0);
	assert_int_equal(number, 100);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(option_parse_number(bad[i], 1, 100, &number), -EINVAL);
}

static void a_plane_has_one_of_three_names(void **state)
{
	static const char *const bad[] = {"", "Kernel", "kernel ", "none"};
	enum plane_choice plane = PLANE_AUTO;

	(void)state;
	assert_int_equal(option_parse_plane("embedded", &plane), 0);
	assert_int_equal(plane, PLANE_EMBEDDED);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(option_parse_plane(bad[i], &plane), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_is_a_number_and_a_unit_seconds_by_default),
		cmocka_unit_test(a_number_out_of_range_is_refused),
		cmocka_unit_test(a_plane_has_one_of_three_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
