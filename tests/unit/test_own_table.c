/* The names of a client's tables. */
#include "test.h"

#include <net/if.h>

#include "client/own_table.h"

static void a_name_says_which_interface_it_is_for(void **state)
{
	static const char *const interfaces[] = {
		"vprox0", "a_b.c-d", "_", "x{};", "\xc3\xa9", "123456789012345", "$(a)'#`!~+="};
	char found[IF_NAMESIZE];

	(void)state;
	for (size_t i = 0; i < sizeof interfaces / sizeof *interfaces; i++) {
		struct own_table table = own_table_for("p-", interfaces[i]);

		for (const char *c = table.name; *c; c++)
			assert_true(strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_", *c) != NULL);
		assert_true(own_table_interface(table.name, "p-", found, sizeof found));
		assert_string_equal(found, interfaces[i]);
	}
	assert_string_equal(own_table_for("p-", "vprox0").name, "p-vprox0");
}

static void other_names_are_no_clients(void **state)
{
	static const char *const names[] = {"p-", "q-vprox0", "vprox", "p-a_", "p-a_5", "p-a_5g",
		"p-1234567890123456", "p-a b"};
	char found[IF_NAMESIZE];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_false(own_table_interface(names[i], "p-", found, sizeof found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_says_which_interface_it_is_for),
		cmocka_unit_test(other_names_are_no_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
