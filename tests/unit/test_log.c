#include "test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* What a call of log_line() writes to a file descriptor. */
static char *captured_from(int fd, enum log_level level, const char *message)
{
	static char line[8192];
	int ends[2], saved = dup(fd);
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	dup2(ends[1], fd);
	log_line(level, "%s", message);
	dup2(saved, fd);
	close(saved);
	close(ends[1]);
	n = read(ends[0], line, sizeof line - 1);
	close(ends[0]);
	line[n] = '\0';
	return line;
}

/* The same, to standard error. */
static char *captured(enum log_level level, const char *message)
{
	return captured_from(STDERR_FILENO, level, message);
}

static void a_message_is_one_line_whatever_is_in_it(void **state)
{
	char *line;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "test");
	line = captured(LOG_LEVEL_INFO, "two\nlines \x1b[31m");
	assert_non_null(strstr(line, " info test: two\\x0alines \\x1b[31m\n"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_json_line_parses_and_carries_the_message(void **state)
{
	json_t *object;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "test");
	object = json_loads(captured(LOG_LEVEL_ERROR, "a \"quoted\\\n\x01 name"), 0, NULL);
	assert_non_null(object);
	assert_string_equal(
		json_string_value(json_object_get(object, "message")), "a \"quoted\\\n\x01 name");
	assert_string_equal(json_string_value(json_object_get(object, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(object, "process")), "test");
	json_decref(object);
}

static void a_long_message_is_cut_and_not_more(void **state)
{
	char *message = malloc(20000);

	(void)state;
	memset(message, '"', 19999);
	message[19999] = '\0';
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "test");

	json_t *object = json_loads(captured(LOG_LEVEL_ERROR, message), 0, NULL);

	assert_non_null(object);
	json_decref(object);
	free(message);
}

static void what_is_below_the_level_is_not_written(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT, "test");
	assert_string_equal(captured(LOG_LEVEL_INFO, "quiet"), "");
	assert_string_not_equal(captured(LOG_LEVEL_WARNING, "loud"), "");
}

static void a_plain_line_is_the_message_and_what_is_wrong_goes_to_standard_error(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "test");
	assert_string_equal(
		captured_from(STDOUT_FILENO, LOG_LEVEL_INFO, "two\nlines"), "two\\x0alines\n");
	assert_string_equal(captured(LOG_LEVEL_WARNING, "hm"), "vprox test: hm\n");
}

static void levels_and_formats_are_known_by_name(void **state)
{
	enum log_level level;
	enum log_format format;

	(void)state;
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("verbose", &level), -EINVAL);
	assert_int_equal(log_format_parse("json", &format), 0);
	assert_int_equal(log_format_parse("", &format), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_one_line_whatever_is_in_it),
		cmocka_unit_test(a_json_line_parses_and_carries_the_message),
		cmocka_unit_test(a_long_message_is_cut_and_not_more),
		cmocka_unit_test(what_is_below_the_level_is_not_written),
		cmocka_unit_test(
			a_plain_line_is_the_message_and_what_is_wrong_goes_to_standard_error),
		cmocka_unit_test(levels_and_formats_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
