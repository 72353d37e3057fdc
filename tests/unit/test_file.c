#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/key_file.h"

struct folder {
	char path[64];
};

static int setup(void **state)
{
	static struct folder folder;

	strcpy(folder.path, "/tmp/vprox-test-XXXXXX");
	*state = &folder;
	return mkdtemp(folder.path) ? 0 : -1;
}

static int teardown(void **state)
{
	struct folder *folder = *state;
	char command[128];

	snprintf(command, sizeof command, "rm -r %s", folder->path);
	return system(command);
}

static const char *in(struct folder *folder, const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", folder->path, name);
	return path;
}

static size_t count_files(struct folder *folder)
{
	DIR *dir = opendir(folder->path);
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void a_created_file_has_its_content_and_mode(void **state)
{
	struct folder *folder = *state;
	struct stat stat_buffer;
	char *data;
	size_t length;

	assert_int_equal(file_create(in(folder, "f"), 0600, "hello", 5), 0);
	assert_int_equal(file_read(in(folder, "f"), 5, &data, &length), 0);
	assert_string_equal(data, "hello");
	assert_int_equal(length, 5);
	free(data);
	assert_int_equal(stat(in(folder, "f"), &stat_buffer), 0);
	assert_int_equal(stat_buffer.st_mode & 0777, 0600);
}

static void a_file_that_is_there_is_never_overwritten(void **state)
{
	struct folder *folder = *state;
	char *data;
	size_t length;

	assert_int_equal(file_create(in(folder, "f"), 0600, "first", 5), 0);
	assert_int_equal(file_create(in(folder, "f"), 0600, "other", 5), -EEXIST);
	assert_int_equal(file_read(in(folder, "f"), 100, &data, &length), 0);
	assert_string_equal(data, "first");
	free(data);
	assert_int_equal(count_files(folder), 1);
}

static bool holds(const char *path, const char *expected)
{
	char *data = NULL;
	size_t length;
	bool same = file_read(path, 64, &data, &length) == 0 && strcmp(data, expected) == 0;

	free(data);
	return same;
}

static void a_file_is_replaced_whole_whatever_is_beside_it(void **state)
{
	struct folder *folder = *state;
	char path[256], new[256], other[256];
	struct stat stat_buffer;

	strcpy(path, in(folder, "f"));
	strcpy(new, in(folder, "f.new"));
	strcpy(other, in(folder, "other"));
	for (int is_synced = 0; is_synced < 2; is_synced++) {
		const struct file_beside beside = {.path = new, .is_synced = is_synced != 0};

		assert_int_equal(file_replace(path, &beside, 0600, "first", 5), 0);
		assert_true(holds(path, "first"));
		/* A longer one that a process has left, and then a link that somebody has. */
		assert_int_equal(file_create(new, 0666, "of one that died", 16), 0);
		assert_int_equal(file_replace(path, &beside, 0640, "second", 6), 0);
		assert_true(holds(path, "second"));
		assert_int_equal(stat(path, &stat_buffer), 0);
		assert_int_equal(stat_buffer.st_mode & 0777, 0640);
		assert_int_equal(symlink(other, new), 0);
		assert_int_equal(file_replace(path, &beside, 0600, "third", 5), 0);
		assert_true(holds(path, "third"));
		assert_int_equal(access(other, F_OK), -1);
		assert_int_equal(count_files(folder), 1);
		unlink(path);
	}
}

static void a_file_that_cannot_be_replaced_leaves_nothing_beside_it(void **state)
{
	struct folder *folder = *state;
	char path[256], new[256];
	const struct file_beside beside = {.path = new};

	strcpy(path, in(folder, "f"));
	strcpy(new, in(folder, "f.new"));
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(file_replace(path, &beside, 0600, "text", 4), -EISDIR);
	assert_int_equal(count_files(folder), 1);
}

static void a_file_larger_than_allowed_is_refused(void **state)
{
	struct folder *folder = *state;
	char *data;
	size_t length;

	assert_int_equal(file_create(in(folder, "f"), 0600, "hello", 5), 0);
	assert_int_equal(file_read(in(folder, "f"), 4, &data, &length), -EFBIG);
	assert_int_equal(file_read(in(folder, "absent"), 4, &data, &length), -ENOENT);
	assert_int_equal(file_read(folder->path, 4, &data, &length), -EISDIR);
}

static void a_key_is_made_once_and_then_kept(void **state)
{
	struct folder *folder = *state;
	struct key first, again;
	struct stat stat_buffer;

	assert_int_equal(key_file_load_or_create(in(folder, "a/b/key"), NULL, &first), 0);
	assert_int_equal(key_file_load_or_create(in(folder, "a/b/key"), NULL, &again), 0);
	assert_true(key_equal(&first, &again));
	assert_int_equal(stat(in(folder, "a/b/key"), &stat_buffer), 0);
	assert_int_equal(stat_buffer.st_mode & 0777, 0600);
	assert_int_equal(stat(in(folder, "a/b"), &stat_buffer), 0);
	assert_int_equal(stat_buffer.st_mode & 0777, 0700);
}

static void a_file_that_is_no_key_is_left_alone_and_refused(void **state)
{
	struct folder *folder = *state;
	struct key key;

	assert_int_equal(file_create(in(folder, "key"), 0600, "nonsense", 8), 0);
	assert_int_equal(key_file_load_or_create(in(folder, "key"), NULL, &key), -EINVAL);
	assert_int_equal(count_files(folder), 1);
}

static void a_fifo_in_its_place_holds_nobody_up(void **state)
{
	struct folder *folder = *state;
	struct key key;

	assert_int_equal(mkfifo(in(folder, "key"), 0600), 0);
	alarm(60);
	assert_int_equal(key_file_load_or_create(in(folder, "key"), NULL, &key), -EINVAL);
	alarm(0);
}

static void a_secret_is_exposed_if_others_can_reach_it(void **state)
{
	static const mode_t wide[] = {0644, 0640, 0620, 0604, 0601, 0777};
	struct folder *folder = *state;
	const char *path = in(folder, "secret");

	assert_int_equal(file_create(path, 0600, "x", 1), 0);
	assert_false(file_is_exposed(path));
	for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
		assert_int_equal(chmod(path, wide[i]), 0);
		assert_true(file_is_exposed(path));
	}
	assert_int_equal(chmod(path, 0400), 0);
	assert_false(file_is_exposed(path));
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 4711, 0), 0);
		assert_true(file_is_exposed(path));
	}
	assert_false(file_is_exposed(in(folder, "none")));
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(a_created_file_has_its_content_and_mode),
		RULE(a_file_that_is_there_is_never_overwritten),
		RULE(a_file_is_replaced_whole_whatever_is_beside_it),
		RULE(a_file_that_cannot_be_replaced_leaves_nothing_beside_it),
		RULE(a_file_larger_than_allowed_is_refused),
		RULE(a_key_is_made_once_and_then_kept),
		RULE(a_file_that_is_no_key_is_left_alone_and_refused),
		RULE(a_fifo_in_its_place_holds_nobody_up),
		RULE(a_secret_is_exposed_if_others_can_reach_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
