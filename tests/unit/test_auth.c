#include "test.h"

#include <errno.h>

#include "gate/auth.h"

static struct auth auth_of(const char *current, const char *previous)
{
	struct auth auth = {.tokens = NULL};

	assert_int_equal(bearer_make(&auth.bearer, current, previous), 0);
	return auth;
}

/* Whoever knows a password has no name. */
static bool is_let_in(const struct auth *auth, const char *authorization)
{
	struct client_name name = {"token:left-over"};
	enum auth_verdict verdict = auth_check(auth, authorization, &name);

	assert_true(client_name_is_none(&name));
	return verdict == AUTH_ACCEPTED;
}

static void only_the_right_bearer_is_let_in(void **state)
{
	static const char *const wrong[] = {"", "Bearer", "Bearer ", "Bearer secre",
		"Bearer secrets", "Bearer Secret", "bearer secret", "BEARER secret",
		"Bearer  secret", "Bearer\tsecret", "Basic secret", "secret",
		"Bearer Bearer secret", "Bearer secret, Bearer secret"};
	struct auth auth = auth_of("secret", NULL);

	(void)state;
	assert_true(is_let_in(&auth, "Bearer secret"));
	assert_false(is_let_in(&auth, NULL));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(is_let_in(&auth, wrong[i]));
}

static void a_password_may_have_blanks_and_any_bytes(void **state)
{
	struct auth auth = auth_of(" two words \xc3\xa9", NULL);

	(void)state;
	assert_true(is_let_in(&auth, "Bearer  two words \xc3\xa9"));
	assert_false(is_let_in(&auth, "Bearer two words \xc3\xa9"));
}

static void an_empty_password_is_none(void **state)
{
	struct bearer bearer;

	(void)state;
	assert_int_equal(bearer_make(&bearer, "", NULL), -EINVAL);
	assert_int_equal(bearer_make(&bearer, "secret", ""), -EINVAL);
}

static void for_a_time_two_passwords_are_good_and_no_third(void **state)
{
	struct auth both = auth_of("new", "old"), one = auth_of("new", NULL);

	(void)state;
	assert_true(is_let_in(&both, "Bearer new"));
	assert_true(is_let_in(&both, "Bearer old"));
	assert_false(is_let_in(&both, "Bearer newold"));
	assert_false(is_let_in(&both, "Bearer "));
	assert_true(is_let_in(&one, "Bearer new"));
	assert_false(is_let_in(&one, "Bearer old"));
	assert_false(is_let_in(&one, "Bearer "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_right_bearer_is_let_in),
		cmocka_unit_test(a_password_may_have_blanks_and_any_bytes),
		cmocka_unit_test(an_empty_password_is_none),
		cmocka_unit_test(for_a_time_two_passwords_are_good_and_no_third),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
