#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/line_file.h"

static char path[] = "/tmp/vprox-line-file-XXXXXX";

static void read_all(char *text, size_t size)
{
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	memset(text, 0, size);
	assert_true(fread(text, 1, size - 1, file) < size);
	fclose(file);
}

static void limit(rlim_t size)
{
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &files), 0);
	files.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &files), 0);
}

/* A limit on the size of files is as a disk that is full, and then has room again. */
static void of_a_line_that_was_torn_nothing_stays(void **state)
{
	struct line_file file = {.fd = -1, .what = "the test's file"};
	char text[64];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	line_file_use(&file, line_file_open(path, 0640));
	line_file_write(&file, "first\n", 6, 1);
	limit(9);
	line_file_write(&file, "second\n", 7, 1);
	line_file_write(&file, "third\n", 6, 1);
	assert_int_equal(file.lost, 2);
	limit(RLIM_INFINITY);
	line_file_write(&file, "fourth\n", 7, 1);
	assert_int_equal(file.lost, 0);
	assert_int_equal(file.lost_in_all, 2);
	read_all(text, sizeof text);
	assert_string_equal(text, "first\nfourth\n");
	line_file_close(&file);
}

static void nor_in_the_same_file_that_is_opened_again(void **state)
{
	struct line_file file = {.fd = -1, .what = "the test's file"};
	char text[64];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(truncate(path, 0), 0);
	line_file_use(&file, line_file_open(path, 0640));
	limit(3);
	line_file_write(&file, "first\n", 6, 1);
	limit(RLIM_INFINITY);
	line_file_use(&file, line_file_open(path, 0640));
	line_file_write(&file, "second\n", 7, 1);
	read_all(text, sizeof text);
	assert_string_equal(text, "second\n");
	line_file_close(&file);
}

static void of_several_lines_those_that_had_no_room_are_lost(void **state)
{
	struct line_file file = {.fd = -1, .what = "the test's file"};
	struct stat before;

	(void)state;
	line_file_use(&file, line_file_open(path, 0640));
	assert_int_equal(stat(path, &before), 0);
	limit((rlim_t)before.st_size + 5);
	line_file_write(&file, "a\nb\nc\nd\n", 8, 4);
	limit(RLIM_INFINITY);
	assert_int_equal(file.lost, 2);
	line_file_close(&file);
}

static void what_a_process_that_died_has_left_of_a_line_is_not_the_beginning_of_the_next(
	void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(truncate(path, 0), 0);
	for (int i = 0; i < 3; i++) { /* where it is whole, or there is none, nothing is added */
		int fd = line_file_open(path, 0640);

		line_file_mend(fd);
		assert_int_equal(
			write(fd, i == 1 ? "torn" : "a\n", i == 1 ? 4 : 2), i == 1 ? 4 : 2);
		close(fd);
	}
	read_all(text, sizeof text);
	assert_string_equal(text, "a\ntorn\na\n");
	line_file_mend(-1);
}

/* Nothing can be taken back out of a FIFO. */
static void a_line_that_was_torn_in_a_fifo_is_not_the_beginning_of_the_next(void **state)
{
	struct line_file file = {.fd = -1, .what = "the test's file"};
	static char lines[70000], read_back[sizeof lines];
	int ends[2];
	ssize_t n;

	(void)state;
	memset(lines, 'a', sizeof lines - 1);
	lines[sizeof lines - 1] = '\n';
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	line_file_use(&file, ends[1]);
	line_file_write(&file, lines, sizeof lines, 1);
	assert_int_equal(file.lost, 1);
	n = read(ends[0], read_back, sizeof read_back);
	assert_true(n > 0 && n < (ssize_t)sizeof lines);
	line_file_write(&file, "next\n", 5, 1);
	assert_int_equal(read(ends[0], read_back, sizeof read_back), 6);
	assert_memory_equal(read_back, "\nnext\n", 6);
	line_file_close(&file);
	close(ends[0]);
}

static void no_symbolic_link_and_no_folder_is_opened(void **state)
{
	char name[sizeof path + 8];

	(void)state;
	snprintf(name, sizeof name, "%s.link", path);
	assert_int_equal(symlink(path, name), 0);
	assert_true(line_file_open(name, 0640) < 0);
	unlink(name);
	assert_true(line_file_open("/tmp", 0640) < 0);
}

static int set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	unlink(path);
	return fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_line_that_was_torn_nothing_stays),
		cmocka_unit_test(nor_in_the_same_file_that_is_opened_again),
		cmocka_unit_test(
			what_a_process_that_died_has_left_of_a_line_is_not_the_beginning_of_the_next),
		cmocka_unit_test(a_line_that_was_torn_in_a_fifo_is_not_the_beginning_of_the_next),
		cmocka_unit_test(of_several_lines_those_that_had_no_room_are_lost),
		cmocka_unit_test(no_symbolic_link_and_no_folder_is_opened),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
