#include "test.h"

#include <errno.h>

#include "http/pin.h"

#define A43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void a_pin_reads_as_it_is_written(void **state)
{
	static const char text[] = "sha256//l/gZ0l5n9lQzOeBX4r0DlXGyQkdT9M1u3hJr0eFfB9A=";
	struct pin pin, other;

	(void)state;
	assert_int_equal(pin_parse(text, &pin), 0);
	assert_string_equal(pin_text(&pin).s, text);
	assert_int_equal(pin_parse("sha256//" A43 "=", &other), 0);
	assert_true(pin_equal(&pin, &pin));
	assert_false(pin_equal(&pin, &other));
}

static void nothing_else_is_a_pin(void **state)
{
	static const char *const bad[] = {"", "sha256//", A43 "=", "sha1//" A43 "=",
		"sha256/" A43 "=", "SHA256//" A43 "=", "sha256//" A43,
		"sha256//" A43 "==", "sha256//" A43 "A=", "sha256//" A43 "= ", " sha256//" A43 "=",
		"sha256//\n" A43, "sha256//-" A43};
	struct pin pin;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(pin_parse(bad[i], &pin), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pin_reads_as_it_is_written),
		cmocka_unit_test(nothing_else_is_a_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
