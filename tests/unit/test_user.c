#include "test.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

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

static void without_a_user_of_its_own_a_process_gets_an_id_that_is_nobodys(void **state)
{
	struct user user, again, other;

	(void)state;
	assert_int_equal(user_find_own("no-such-user", &user), 0);
	assert_true(user.is_dynamic);
	assert_true(user.id >= 61184 && user.id <= 65519);
	assert_int_equal(user.id, user.group);
	assert_null(getpwuid(user.id));
	assert_null(getgrgid(user.group));
	assert_int_equal(user_find_own("no-such-user", &again), 0);
	assert_int_equal(user.id, again.id);
	assert_int_equal(user_find_own("another-such", &other), 0);
	assert_int_not_equal(user.id, other.id);
}

static void a_user_of_its_own_is_preferred(void **state)
{
	struct user user;

	(void)state;
	assert_int_equal(user_find_own("nobody", &user), 0);
	assert_false(user.is_dynamic);
	assert_int_equal(user.id, getpwnam("nobody")->pw_uid);
	assert_int_equal(user_find_own("root", &user), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_with_the_rights_of_root_is_refused),
		cmocka_unit_test(a_user_that_does_not_exist_is_named),
		cmocka_unit_test(without_a_user_of_its_own_a_process_gets_an_id_that_is_nobodys),
		cmocka_unit_test(a_user_of_its_own_is_preferred),
		cmocka_unit_test(without_a_name_it_is_one_that_has_no_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
