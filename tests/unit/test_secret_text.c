/* Texts that grow and leave no copy behind. */
#include "base/secret_text.h"

#include <errno.h>
#include <stdio.h>

#include "test.h"

static void what_is_appended_follows_what_is_there(void **state)
{
	struct secret_text text = {0};

	(void)state;
	secret_text_append(&text, "%s=%u\n", "listen_port", 51820u);
	secret_text_append(&text, "%s", "");
	secret_text_append(&text, "errno=%d\n\n", -22);
	assert_string_equal(text.s, "listen_port=51820\nerrno=-22\n\n");
	assert_int_equal(text.used, strlen(text.s));
	assert_false(text.failed);
	secret_text_wipe(&text);
	assert_null(text.s);
	assert_int_equal(text.used, 0);
}

static void it_grows_as_far_as_is_needed(void **state)
{
	enum { TIMES = 10000 };
	struct secret_text text = {0};

	(void)state;
	for (int i = 0; i < TIMES; i++) {
		secret_text_append(&text, "%04d", i);
		assert_int_equal(text.used, 4 * (size_t)(i + 1));
		assert_true(text.size >= text.used);
	}
	for (int i = 0; i < TIMES; i++) {
		char expected[5];

		snprintf(expected, sizeof expected, "%04d", i);
		assert_memory_equal(text.s + 4 * i, expected, 4);
	}
	secret_text_wipe(&text);
}

static void where_there_is_no_memory_nothing_is_lost_but_what_is_new(void **state)
{
	struct secret_text text = {0};

	(void)state;
	secret_text_append(&text, "old");
	assert_int_equal(secret_text_reserve(&text, SIZE_MAX / 2), -ENOMEM);
	assert_string_equal(text.s, "old");
	assert_int_equal(text.used, strlen("old"));
	secret_text_wipe(&text);
}

static void what_is_reserved_can_be_written_with_a_nul_behind_it(void **state)
{
	struct secret_text text = {0};

	(void)state;
	assert_int_equal(secret_text_reserve(&text, 10), 0);
	assert_string_equal(text.s, "");
	memset(text.s, 'x', 10);
	text.s[10] = '\0';
	text.used = 10;
	secret_text_append(&text, "%s", "y");
	assert_string_equal(text.s, "xxxxxxxxxxy");
	secret_text_wipe(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_follows_what_is_there),
		cmocka_unit_test(it_grows_as_far_as_is_needed),
		cmocka_unit_test(where_there_is_no_memory_nothing_is_lost_but_what_is_new),
		cmocka_unit_test(what_is_reserved_can_be_written_with_a_nul_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
