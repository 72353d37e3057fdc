#include "test.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sysctl.h"

/* In a network namespace of its own, on lo, which has all the settings of an interface. Skipped
 * without the rights for that. */
static bool has_namespace;

static int set_up(void **state)
{
	(void)state;
	has_namespace = unshare(CLONE_NEWNET) == 0;
	return 0;
}

static void set(const char *family, const char *interface, const char *key, int value)
{
	assert_int_equal(sysctl_write(sysctl_of_interface(family, interface, key).s, value), 0);
}

static int get(const char *family, const char *interface, const char *key)
{
	int value = -1;

	assert_int_equal(sysctl_read(sysctl_of_interface(family, interface, key).s, &value), 0);
	return value;
}

static void a_setting_is_read_as_it_was_written(void **state)
{
	int value;

	(void)state;
	if (!has_namespace)
		skip();
	set("ipv4", "lo", "forwarding", 0);
	assert_int_equal(get("ipv4", "lo", "forwarding"), 0);
	set("ipv4", "lo", "forwarding", 1);
	assert_int_equal(get("ipv4", "lo", "forwarding"), 1);
	assert_int_equal(
		sysctl_read(sysctl_of_interface("ipv4", "lo", "no_such_key").s, &value), -ENOENT);
	assert_int_equal(
		sysctl_write(sysctl_of_interface("ipv4", "gone0", "forwarding").s, 1), -ENOENT);
}

/* What an interface's own value and that of "all" become, and what the function says of it. */
static void assert_loosens(int all, int own, int result, int becomes)
{
	int old = -1;

	set("ipv4", "all", "rp_filter", all);
	set("ipv4", "lo", "rp_filter", own);
	assert_int_equal(sysctl_loosen_rp_filter("lo", &old), result);
	assert_int_equal(get("ipv4", "lo", "rp_filter"), becomes);
	assert_int_equal(get("ipv4", "all", "rp_filter"), all);
	assert_int_equal(old, own);
}

static void the_check_of_sources_is_loosened_only_where_the_larger_value_is_strict(void **state)
{
	(void)state;
	if (!has_namespace)
		skip();
	assert_loosens(0, 1, 1, 2);
	assert_loosens(1, 0, 1, 2);
	assert_loosens(1, 1, 1, 2);
	assert_loosens(0, 0, 0, 0);
	assert_loosens(2, 1, 0, 1);
	assert_loosens(1, 2, 0, 2);
}

static void an_interface_that_is_gone_has_nothing_to_loosen(void **state)
{
	int old;

	(void)state;
	assert_int_equal(sysctl_loosen_rp_filter("gone0", &old), 0);
}

static void ipv6_is_disabled_on_one_interface(void **state)
{
	(void)state;
	if (!has_namespace || access("/proc/sys/net/ipv6", F_OK) != 0)
		skip();
	set("ipv6", "lo", "disable_ipv6", 0);
	assert_int_equal(sysctl_disable_ipv6("lo"), 0);
	assert_int_equal(get("ipv6", "lo", "disable_ipv6"), 1);
	assert_int_equal(get("ipv6", "default", "disable_ipv6"), 0);
}

static void a_kernel_without_ipv6_is_no_error(void **state)
{
	(void)state;
	assert_int_equal(sysctl_disable_ipv6("gone0"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_setting_is_read_as_it_was_written),
		cmocka_unit_test(
			the_check_of_sources_is_loosened_only_where_the_larger_value_is_strict),
		cmocka_unit_test(an_interface_that_is_gone_has_nothing_to_loosen),
		cmocka_unit_test(ipv6_is_disabled_on_one_interface),
		cmocka_unit_test(a_kernel_without_ipv6_is_no_error),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
