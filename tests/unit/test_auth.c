#include "test.h"

#include <errno.h>

#include "gate/auth.h"

static struct bearer bearer_of(const char *current, const char *previous)
{
	struct bearer bearer;

	assert_int_equal(bearer_make(&bearer, current, previous), 0);
	return bearer;
}

static void only_the_right_bearer_is_let_in(void **state)
{
	static const char *const wrong[] = {"", "Bearer", "Bearer ", "Bearer secre",
		"Bearer secrets", "Bearer Secret", "bearer secret", "BEARER secret",
		"Bearer  secret", "Bearer\tsecret", "Basic secret", "secret",
		"Bearer Bearer secret", "Bearer secret, Bearer secret"};
	struct bearer auth = bearer_of("secret", NULL);

	(void)state;
	assert_true(auth_check(&auth, "Bearer secret"));
	assert_false(auth_check(&auth, NULL));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(auth_check(&auth, wrong[i]));
}

static void a_password_may_have_blanks_and_any_bytes(void **state)
{
	struct bearer auth = bearer_of(" two words \xc3\xa9", NULL);

	(void)state;
	assert_true(auth_check(&auth, "Bearer  two words \xc3\xa9"));
	assert_false(auth_check(&auth, "Bearer two words \xc3\xa9"));
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
	struct bearer both = bearer_of("new", "old"), one = bearer_of("new", NULL);

	(void)state;
	assert_true(auth_check(&both, "Bearer new"));
	assert_true(auth_check(&both, "Bearer old"));
	assert_false(auth_check(&both, "Bearer newold"));
	assert_false(auth_check(&both, "Bearer "));
	assert_true(auth_check(&one, "Bearer new"));
	assert_false(auth_check(&one, "Bearer old"));
	assert_false(auth_check(&one, "Bearer "));
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
