#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "host/run.h"

static void input_goes_in_and_output_comes_out(void **state)
{
	static const char *const cat[] = {"cat", NULL};
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(cat, "a b\nc", &output, &error), 0);
	assert_string_equal(output, "a b\nc");
}

static void more_than_a_pipe_holds_goes_through(void **state)
{
	static const char *const cat[] = {"cat", NULL};
	enum { SIZE = 1 << 20 };
	auto_free char *input = malloc(SIZE + 1);
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	memset(input, 'x', SIZE);
	input[SIZE] = '\0';
	assert_int_equal(run_program(cat, input, &output, &error), 0);
	assert_string_equal(output, input);
}

static void a_missing_program_is_told_apart(void **state)
{
	static const char *const missing[] = {"vprox-no-such-program", NULL};
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(missing, NULL, NULL, &error), -ENOENT);
}

static void a_failure_comes_with_what_the_program_said(void **state)
{
	static const char *const ls[] = {"ls", "/no/such/folder", NULL};
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(ls, NULL, NULL, &error), -EIO);
	assert_non_null(strstr(error.text, "/no/such/folder"));
	assert_null(strchr(error.text, '\n'));
}

static void the_environment_is_not_handed_on(void **state)
{
	static const char *const env[] = {"env", NULL};
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	setenv("VPROX_PASSWORD", "secret", 1);
	assert_int_equal(run_program(env, NULL, &output, &error), 0);
	assert_null(strstr(output, "secret"));
	assert_memory_equal(output, "PATH=", 5);
}

static void endless_output_is_refused(void **state)
{
	static const char *const yes[] = {"yes", NULL};
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(yes, NULL, &output, &error), -EFBIG);
	assert_null(output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_goes_in_and_output_comes_out),
		cmocka_unit_test(more_than_a_pipe_holds_goes_through),
		cmocka_unit_test(a_missing_program_is_told_apart),
		cmocka_unit_test(a_failure_comes_with_what_the_program_said),
		cmocka_unit_test(the_environment_is_not_handed_on),
		cmocka_unit_test(endless_output_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
