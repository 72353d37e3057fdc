#include "test.h"

#include <errno.h>

#include "base/user.h"

static void a_user_with_the_rights_of_root_is_refused(void **state)
{
	struct user user;

	(void)state;
	assert_int_equal(user_find("root", &user), -EINVAL);
	assert_string_equal(user.name, "root");
}

static void a_user_that_does_not_exist_is_named(void **state)
{
	struct user user;

	(void)state;
	assert_int_equal(user_find("no-such-user", &user), -ENOENT);
	assert_string_equal(user.name, "no-such-user");
}

static void without_a_name_it_is_one_that_has_no_rights(void **state)
{
	struct user user;

	(void)state;
	assert_int_equal(user_find(NULL, &user), 0);
	assert_int_not_equal(user.id, 0);
	assert_int_not_equal(user.group, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_with_the_rights_of_root_is_refused),
		cmocka_unit_test(a_user_that_does_not_exist_is_named),
		cmocka_unit_test(without_a_name_it_is_one_that_has_no_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
