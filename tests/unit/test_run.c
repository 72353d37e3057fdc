#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/run.h"

enum {
	TIMEOUT_MS = 20000, /* for what should end by itself */
};

/* Has a shell run the commands. */
static int run_shell(
	const char *commands, unsigned int timeout_ms, char **output, struct run_error *error)
{
	const char *const arguments[] = {"sh", "-c", commands, NULL};

	return run_program(arguments, NULL, timeout_ms, output, error);
}

static void assert_no_child_is_left(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void input_goes_in_and_output_comes_out(void **state)
{
	static const char *const cat[] = {"cat", NULL};
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(cat, "a b\nc", TIMEOUT_MS, &output, &error), 0);
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
	assert_int_equal(run_program(cat, input, TIMEOUT_MS, &output, &error), 0);
	assert_string_equal(output, input);
}

static void a_program_that_does_not_read_its_input_ends_all_the_same(void **state)
{
	static const char *const ignores[] = {"true", NULL};
	enum { SIZE = 1 << 20 };
	auto_free char *input = malloc(SIZE + 1);
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	memset(input, 'x', SIZE);
	input[SIZE] = '\0';
	assert_int_equal(run_program(ignores, input, TIMEOUT_MS, &output, &error), 0);
	assert_string_equal(output, "");
}

static void a_program_that_cannot_be_started_is_told_apart_from_one_that_fails(void **state)
{
	static const char *const missing[] = {"vprox-no-such-program", NULL};
	static const char *const no_program[] = {"/etc/passwd", NULL};
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(missing, NULL, TIMEOUT_MS, &output, &error), -ENOENT);
	assert_string_equal(error.text, strerror(ENOENT));
	assert_int_equal(run_program(no_program, NULL, TIMEOUT_MS, &output, &error), -EACCES);
	assert_string_equal(error.text, strerror(EACCES));
	assert_null(output);
	assert_no_child_is_left();
}

static void a_status_other_than_0_is_a_failure_whatever_was_written(void **state)
{
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	assert_int_equal(run_shell("echo half; exit 3", TIMEOUT_MS, &output, &error), -EIO);
	assert_string_equal(error.text, "it failed without saying why");
	assert_int_equal(run_shell("kill -s KILL $$", TIMEOUT_MS, &output, &error), -EIO);
	assert_string_equal(error.text, strsignal(SIGKILL));
	assert_null(output);
	assert_int_equal(run_shell("echo warning >&2", TIMEOUT_MS, &output, &error), 0);
	assert_string_equal(output, "");
}

static void a_program_that_closes_its_output_and_goes_on_is_waited_for(void **state)
{
	struct run_error error;

	(void)state;
	assert_int_equal(
		run_shell("exec >&- 2>&-; sleep 0.3; exit 3", TIMEOUT_MS, NULL, &error), -EIO);
}

static void a_program_that_never_ends_is_killed_in_time(void **state)
{
	uint64_t begin = clock_now_ms(&system_clock);
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	assert_int_equal(
		run_shell("echo begun; exec sleep 1000", 100, &output, &error), -ETIMEDOUT);
	assert_string_equal(error.text, strerror(ETIMEDOUT));
	assert_true(clock_now_ms(&system_clock) - begin >= 100);
	assert_null(output);
	assert_no_child_is_left();
}

static void a_grandchild_that_holds_the_output_open_is_not_waited_for(void **state)
{
	auto_free char *output = NULL;
	struct run_error error;
	int result;

	(void)state;
	result = run_shell("sleep 1000 & echo $!", TIMEOUT_MS, &output, &error);
	if (output)
		kill((pid_t)atoi(output), SIGKILL);
	assert_int_equal(result, 0);
	assert_true(atoi(output) > 1);
}

static void a_failure_comes_with_what_the_program_said(void **state)
{
	static const char *const ls[] = {"ls", "/no/such/folder", NULL};
	struct run_error error;

	(void)state;
	assert_int_equal(run_program(ls, NULL, TIMEOUT_MS, NULL, &error), -EIO);
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
	assert_int_equal(run_program(env, NULL, TIMEOUT_MS, &output, &error), 0);
	assert_null(strstr(output, "secret"));
	assert_memory_equal(output, "PATH=", 5);
}

static void output_is_taken_up_to_the_limit_and_refused_from_there_on(void **state)
{
	static const char *const yes[] = {"yes", NULL};
	char commands[64];
	auto_free char *all = NULL;
	auto_free char *output = NULL;
	struct run_error error;

	(void)state;
	snprintf(
		commands, sizeof commands, "head -c %d /dev/zero | tr '\\0' x", RUN_MAX_OUTPUT - 1);
	assert_int_equal(run_shell(commands, TIMEOUT_MS, &all, &error), 0);
	assert_int_equal(strlen(all), RUN_MAX_OUTPUT - 1);
	snprintf(commands, sizeof commands, "head -c %d /dev/zero", RUN_MAX_OUTPUT);
	assert_int_equal(run_shell(commands, TIMEOUT_MS, &output, &error), -EFBIG);
	assert_int_equal(run_program(yes, NULL, TIMEOUT_MS, &output, &error), -EFBIG);
	assert_null(output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_goes_in_and_output_comes_out),
		cmocka_unit_test(more_than_a_pipe_holds_goes_through),
		cmocka_unit_test(a_program_that_does_not_read_its_input_ends_all_the_same),
		cmocka_unit_test(
			a_program_that_cannot_be_started_is_told_apart_from_one_that_fails),
		cmocka_unit_test(a_status_other_than_0_is_a_failure_whatever_was_written),
		cmocka_unit_test(a_program_that_closes_its_output_and_goes_on_is_waited_for),
		cmocka_unit_test(a_program_that_never_ends_is_killed_in_time),
		cmocka_unit_test(a_grandchild_that_holds_the_output_open_is_not_waited_for),
		cmocka_unit_test(a_failure_comes_with_what_the_program_said),
		cmocka_unit_test(the_environment_is_not_handed_on),
		cmocka_unit_test(output_is_taken_up_to_the_limit_and_refused_from_there_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
