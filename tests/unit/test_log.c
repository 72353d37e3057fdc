#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
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

	char *line = captured(LOG_LEVEL_ERROR, message);
	json_t *object = json_loads(line, 0, NULL);

	assert_non_null(object);
	json_decref(object);
	assert_true(strlen(line) <= 4096);
	memset(message, '\x01', 19999);
	line = captured(LOG_LEVEL_ERROR, message);
	object = json_loads(line, 0, NULL);
	assert_non_null(object);
	json_decref(object);
	assert_true(strlen(line) <= 4096 && strlen(line) > 4000);
	free(message);
}

enum { TOO_MANY_LINES = 2000 };

/* Logs more to a descriptor than anything holds that nobody reads, in a process of its own, and
 * at last into `after`. Fails if a write waits. */
static void log_too_much(int fd, int after, uid_t user)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		alarm(20);
		signal(SIGPIPE, SIG_IGN);
		dup2(fd, STDERR_FILENO);
		if (user != 0 && setresuid(user, user, user) < 0)
			_exit(2);
		log_open();
		for (int i = 0; i < TOO_MANY_LINES; i++)
			log_error("a line that is long enough to fill what there is: %d", i);
		dup2(after, STDERR_FILENO);
		log_open();
		log_error("read again");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void assert_loss_is_said(int fd)
{
	char text[1024] = "";

	assert_true(read(fd, text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, " lines of the log are lost: "));
	if (!strstr(text, "read again"))
		assert_true(read(fd, text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, "read again"));
}

/* Logs too much to one end of a pair, and sees what comes out of a fresh pipe after that. */
static void assert_nobody_needs_to_read(int fd, uid_t user)
{
	int fresh[2];

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "test");
	assert_int_equal(pipe(fresh), 0);
	log_too_much(fd, fresh[1], user);
	assert_loss_is_said(fresh[0]);
	close(fresh[0]);
	close(fresh[1]);
}

static void a_pipe_that_nobody_reads_holds_nobody_up(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_nobody_needs_to_read(ends[1], 0);
	/* It is shared with others, who may want to wait. */
	assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
	close(ends[0]);
	close(ends[1]);
}

static void a_pipe_that_may_not_be_opened_anew_holds_nobody_up(void **state)
{
	int ends[2];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(ends), 0);
	assert_nobody_needs_to_read(ends[1], 65534);
	close(ends[0]);
	close(ends[1]);
}

static void a_socket_that_nobody_reads_holds_nobody_up(void **state)
{
	int ends[2];

	(void)state;
	for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
		assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
		assert_nobody_needs_to_read(ends[1], 0);
		assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
		close(ends[0]);
		close(ends[1]);
	}
}

static void what_a_full_disk_does_not_take_is_counted(void **state)
{
	int full = open("/dev/full", O_WRONLY);

	(void)state;
	assert_true(full >= 0);
	assert_nobody_needs_to_read(full, 0);
	close(full);
}

static void what_was_lost_is_said_without_another_line(void **state)
{
	const int full = open("/dev/full", O_WRONLY), saved = dup(STDERR_FILENO);
	char text[1024] = "";
	bool is_said, is_still_lost;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "test");
	assert_false(log_say_lost());
	dup2(full, STDERR_FILENO);
	log_error("one");
	log_error("two");
	is_still_lost = log_say_lost();
	dup2(ends[1], STDERR_FILENO);
	is_said = !log_say_lost() && !log_say_lost();
	dup2(saved, STDERR_FILENO);
	assert_true(is_still_lost);
	assert_true(is_said);
	assert_true(read(ends[0], text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, " warning test: 2 lines of the log are lost: "));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	close(full);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

/* A file that can grow no further takes a part of a line. */
static void a_line_that_was_torn_is_not_the_beginning_of_the_next(void **state)
{
	char name[] = "/tmp/test_log.XXXXXX", text[1024];
	const struct rlimit little = {20, RLIM_INFINITY}, much = {RLIM_INFINITY, RLIM_INFINITY};
	int file = mkstemp(name), saved = dup(STDERR_FILENO);
	ssize_t n;

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "test");
	signal(SIGXFSZ, SIG_IGN);
	unlink(name);
	dup2(file, STDERR_FILENO);
	setrlimit(RLIMIT_FSIZE, &little);
	log_error("torn");
	setrlimit(RLIMIT_FSIZE, &much);
	log_error("whole");
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(file, text, sizeof text - 1, 0);
	close(file);
	assert_true(n > 20);
	text[n] = '\0';
	assert_int_equal(text[20], '\n');
	assert_non_null(strstr(text, "test: 1 lines of the log are lost: "));
	assert_non_null(strstr(text, " error test: whole\n"));
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
		cmocka_unit_test(a_pipe_that_nobody_reads_holds_nobody_up),
		cmocka_unit_test(a_pipe_that_may_not_be_opened_anew_holds_nobody_up),
		cmocka_unit_test(a_socket_that_nobody_reads_holds_nobody_up),
		cmocka_unit_test(what_a_full_disk_does_not_take_is_counted),
		cmocka_unit_test(what_was_lost_is_said_without_another_line),
		cmocka_unit_test(a_line_that_was_torn_is_not_the_beginning_of_the_next),
		cmocka_unit_test(what_is_below_the_level_is_not_written),
		cmocka_unit_test(
			a_plain_line_is_the_message_and_what_is_wrong_goes_to_standard_error),
		cmocka_unit_test(levels_and_formats_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
