#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fleet_key.h"

struct place {
	char folder[64], file[96];
};

static int setup(void **state)
{
	static struct place place;

	strcpy(place.folder, "/tmp/vprox-test-XXXXXX");
	if (!mkdtemp(place.folder))
		return -1;
	snprintf(place.file, sizeof place.file, "%s/key", place.folder);
	*state = &place;
	return 0;
}

static int teardown(void **state)
{
	const struct place *place = *state;

	unlink(place->file);
	return rmdir(place->folder);
}

static struct fleet_keys make_keys(size_t n)
{
	struct fleet_keys keys = {.n = n};

	for (size_t i = 0; i < n; i++)
		assert_int_equal(fleet_key_generate(&keys.keys[i]), 0);
	return keys;
}

static void keys_come_back_in_their_order_and_nobody_else_may_read_them(void **state)
{
	const struct place *place = *state;

	for (size_t n = 1; n <= FLEET_KEYS_MAX; n++) {
		const struct fleet_keys keys = make_keys(n);
		struct fleet_keys read;
		struct stat file;

		unlink(place->file);
		assert_int_equal(fleet_keys_create(place->file, &keys), 0);
		assert_int_equal(fleet_keys_load(place->file, &read), 0);
		assert_int_equal(read.n, n);
		for (size_t i = 0; i < n; i++)
			assert_true(key_equal(&read.keys[i], &keys.keys[i]));
		assert_int_equal(stat(place->file, &file), 0);
		assert_int_equal(file.st_mode & 0777, 0600);
	}
}

static void a_file_that_is_there_is_replaced_only_when_asked(void **state)
{
	const struct place *place = *state;
	const struct fleet_keys keys = make_keys(1), others = make_keys(1);
	struct fleet_keys read;

	assert_int_equal(fleet_keys_create(place->file, &keys), 0);
	assert_int_equal(fleet_keys_create(place->file, &others), -EEXIST);
	assert_int_equal(fleet_keys_load(place->file, &read), 0);
	assert_true(key_equal(&read.keys[0], &keys.keys[0]));
	assert_int_equal(fleet_keys_replace(place->file, &others), 0);
	assert_int_equal(fleet_keys_load(place->file, &read), 0);
	assert_true(key_equal(&read.keys[0], &others.keys[0]));
}

static void a_file_of_something_else_is_refused(void **state)
{
	const struct place *place = *state;
	const struct fleet_keys keys = make_keys(1);
	const struct key_text text = key_text(&keys.keys[0]);
	char three[3 * KEY_TEXT_SIZE + 1];
	const char *const wrong[] = {"", "\n", "secret\n", three};

	snprintf(three, sizeof three, "%s\n%s\n%s\n", text.s, text.s, text.s);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct fleet_keys read;

		unlink(place->file);
		assert_int_equal(file_create(place->file, 0600, wrong[i], strlen(wrong[i])), 0);
		assert_int_equal(fleet_keys_load(place->file, &read), -EINVAL);
	}
}

static void keys_have_names_that_differ(void **state)
{
	const struct fleet_keys keys = make_keys(2);

	(void)state;
	assert_int_equal(fleet_key_id(&keys.keys[0]), fleet_key_id(&keys.keys[0]));
	assert_int_not_equal(fleet_key_id(&keys.keys[0]), fleet_key_id(&keys.keys[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			keys_come_back_in_their_order_and_nobody_else_may_read_them, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_there_is_replaced_only_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_of_something_else_is_refused, setup, teardown),
		cmocka_unit_test(keys_have_names_that_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
