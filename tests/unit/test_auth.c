#include "test.h"

#include <errno.h>

#include "gate/auth.h"

static struct auth auth_for(const char *password)
{
	struct auth auth;

	assert_int_equal(auth_init(&auth, password, strlen(password)), 0);
	return auth;
}

static void only_the_right_bearer_is_let_in(void **state)
{
	static const char *const wrong[] = {"", "Bearer", "Bearer ", "Bearer secre",
		"Bearer secrets", "Bearer Secret", "bearer secret", "BEARER secret",
		"Bearer  secret", "Bearer\tsecret", "Basic secret", "secret",
		"Bearer Bearer secret", "Bearer secret, Bearer secret"};
	struct auth auth = auth_for("secret");

	(void)state;
	assert_true(auth_check(&auth, "Bearer secret"));
	assert_false(auth_check(&auth, NULL));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(auth_check(&auth, wrong[i]));
}

static void a_password_may_have_blanks_and_any_bytes(void **state)
{
	struct auth auth = auth_for(" two words \xc3\xa9");

	(void)state;
	assert_true(auth_check(&auth, "Bearer  two words \xc3\xa9"));
	assert_false(auth_check(&auth, "Bearer two words \xc3\xa9"));
}

static void an_empty_password_is_none(void **state)
{
	struct auth auth;

	(void)state;
	assert_int_equal(auth_init(&auth, "", 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_right_bearer_is_let_in),
		cmocka_unit_test(a_password_may_have_blanks_and_any_bytes),
		cmocka_unit_test(an_empty_password_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
