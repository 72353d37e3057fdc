/* Names of clients: whatever they are made of, they are one harmless word. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "ipc/client_name.h"

static struct client_name made(enum client_name_kind kind, const char *text)
{
	struct client_name name;

	assert_int_equal(client_name_make(kind, text, &name), 0);
	assert_true(client_name_is_valid(&name));
	return name;
}

static void a_name_tells_its_kind_and_is_no_other_kinds(void **state)
{
	struct client_name token = made(CLIENT_NAME_TOKEN, "ci"),
			   oidc = made(CLIENT_NAME_OIDC, "ci");

	(void)state;
	assert_string_equal(token.s, "token:ci");
	assert_string_equal(oidc.s, "oidc:ci");
	assert_int_equal(client_name_kind(&token), CLIENT_NAME_TOKEN);
	assert_int_equal(client_name_kind(&oidc), CLIENT_NAME_OIDC);
	assert_false(client_name_equal(&token, &oidc));
}

static void what_a_terminal_or_a_log_could_take_for_more_than_text_is_escaped(void **state)
{
	(void)state;
	assert_string_equal(made(CLIENT_NAME_OIDC, "a b\n\x1b[2J\x7f\xc3\xa9").s,
		"oidc:a%20b%0A%1B[2J%7F%C3%A9");
	assert_string_equal(made(CLIENT_NAME_OIDC, "a%20b").s, "oidc:a%2520b");
}

static void a_name_without_text_or_without_room_is_none(void **state)
{
	char text[CLIENT_NAME_SIZE] = {0};
	struct client_name name;

	(void)state;
	assert_int_equal(client_name_make(CLIENT_NAME_TOKEN, "", &name), -EINVAL);
	memset(text, 'x', CLIENT_NAME_SIZE - sizeof "token:");
	made(CLIENT_NAME_TOKEN, text);
	text[strlen(text)] = 'x';
	assert_int_equal(client_name_make(CLIENT_NAME_TOKEN, text, &name), -ENAMETOOLONG);
	assert_true(client_name_is_none(&name));
	text[strlen(text) - 2] = '\0';
	text[strlen(text) - 1] = '\n';
	assert_int_equal(client_name_make(CLIENT_NAME_TOKEN, text, &name), -ENAMETOOLONG);
	assert_true(client_name_is_none(&name));
}

static void what_was_not_made_so_is_no_name(void **state)
{
	static const char *const wrong[] = {"ci", "token", "token:", ":ci", "TOKEN:ci", "token:a b",
		"token:a\n", "token:\x1b[2J", "oidc:\xc3\xa9", "oidc", "tokens:ci"};
	struct client_name name;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(client_name_parse(wrong[i], &name), -EINVAL);
		assert_true(client_name_is_none(&name));
	}
	assert_int_equal(client_name_parse("", &name), 0);
	assert_int_equal(client_name_parse("token:ci", &name), 0);
	name.s[CLIENT_NAME_SIZE - 1] = 'x';
	assert_false(client_name_is_valid(&name));
	memset(&name, 'x', sizeof name);
	assert_false(client_name_is_valid(&name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_tells_its_kind_and_is_no_other_kinds),
		cmocka_unit_test(what_a_terminal_or_a_log_could_take_for_more_than_text_is_escaped),
		cmocka_unit_test(a_name_without_text_or_without_room_is_none),
		cmocka_unit_test(what_was_not_made_so_is_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
