#include "addresses.h"

#include <errno.h>

#include "base/ipv4.h"

static void an_address_is_four_decimal_numbers_and_nothing_else(void **state)
{
	static const char *const bad[] = {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", " 10.0.0.1",
		"10.0.0.1/8", "::1", "010.0.0.1", "a.b.c.d"};
	struct ipv4 address;

	(void)state;
	assert_int_equal(ipv4_parse("203.0.113.7", &address), 0);
	assert_int_equal(address.value, 0xcb007107);
	assert_string_equal(ipv4_text(address).s, "203.0.113.7");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(ipv4_parse(bad[i], &address), -EINVAL);
}

static void host_bits_of_a_prefix_are_masked_off(void **state)
{
	(void)state;
	assert_string_equal(prefix_text(prefix("10.100.7.9/16")).s, "10.100.0.0/16");
	assert_string_equal(prefix_text(prefix("255.255.255.255/0")).s, "0.0.0.0/0");
	assert_string_equal(prefix_text(prefix("240.0.0.1/32")).s, "240.0.0.1/32");
}

static void a_malformed_prefix_is_refused(void **state)
{
	static const char *const bad[] = {"", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/008", "/8", "fd00::/8",
		"10.0.0.0/8/8"};
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(prefix_parse(bad[i], &p), -EINVAL);
}

static void the_ith_subnet_of_a_prefix_is_found(void **state)
{
	struct prefix subnet;

	(void)state;
	assert_int_equal(prefix_subnet(prefix("10.0.0.0/8"), 16, 255, &subnet), 0);
	assert_string_equal(prefix_text(subnet).s, "10.255.0.0/16");
	assert_int_equal(prefix_subnet(prefix("10.0.0.0/8"), 16, 256, &subnet), -ERANGE);
	assert_int_equal(prefix_subnet(prefix("10.0.0.0/8"), 7, 0, &subnet), -EINVAL);
	assert_int_equal(prefix_subnet(prefix("0.0.0.0/0"), 0, 0, &subnet), 0);
	assert_int_equal(prefix_subnet(prefix("0.0.0.0/0"), 32, UINT32_MAX, &subnet), 0);
	assert_string_equal(prefix_text(subnet).s, "255.255.255.255/32");
}

static void prefixes_know_what_they_contain(void **state)
{
	struct ipv4 inside, outside;

	(void)state;
	ipv4_parse("10.1.255.255", &inside);
	ipv4_parse("10.2.0.0", &outside);
	assert_true(prefix_contains(prefix("10.1.0.0/16"), inside));
	assert_false(prefix_contains(prefix("10.1.0.0/16"), outside));
	assert_true(prefix_contains(prefix("0.0.0.0/0"), outside));
	assert_true(prefix_overlaps(prefix("10.0.0.0/8"), prefix("10.1.0.0/16")));
	assert_true(prefix_overlaps(prefix("10.1.0.0/16"), prefix("10.0.0.0/8")));
	assert_false(prefix_overlaps(prefix("10.1.0.0/16"), prefix("10.2.0.0/16")));
	assert_string_equal(ipv4_text(prefix_last(prefix("10.1.0.0/16"))).s, "10.1.255.255");
	assert_int_equal(prefix_size(prefix("0.0.0.0/0")), UINT64_C(1) << 32);
}

static void a_prefix_is_private_if_all_of_it_is(void **state)
{
	static const char *const private[] = {
		"10.0.0.0/8", "10.1.2.3/32", "172.31.0.0/16", "192.168.255.0/24", "100.127.0.0/16"};
	static const char *const public[] = {"0.0.0.0/0", "8.0.0.0/6", "10.0.0.0/7", "11.0.0.0/8",
		"172.32.0.0/16", "192.169.0.0/16", "100.128.0.0/16", "203.0.113.7/32"};

	(void)state;
	for (size_t i = 0; i < sizeof private / sizeof *private; i++)
		assert_true(prefix_is_private(prefix(private[i])));
	for (size_t i = 0; i < sizeof public / sizeof *public; i++)
		assert_false(prefix_is_private(prefix(public[i])));
}

static void an_address_is_among_others_if_one_of_these_is_it(void **state)
{
	const struct ipv4 addresses[] = {{1}, {2}, {3}};

	(void)state;
	assert_true(ipv4_is_among((struct ipv4){1}, addresses, 3));
	assert_true(ipv4_is_among((struct ipv4){3}, addresses, 3));
	assert_false(ipv4_is_among((struct ipv4){3}, addresses, 2));
	assert_false(ipv4_is_among((struct ipv4){0}, addresses, 3));
	assert_false(ipv4_is_among((struct ipv4){0}, NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_four_decimal_numbers_and_nothing_else),
		cmocka_unit_test(host_bits_of_a_prefix_are_masked_off),
		cmocka_unit_test(a_malformed_prefix_is_refused),
		cmocka_unit_test(the_ith_subnet_of_a_prefix_is_found),
		cmocka_unit_test(prefixes_know_what_they_contain),
		cmocka_unit_test(a_prefix_is_private_if_all_of_it_is),
		cmocka_unit_test(an_address_is_among_others_if_one_of_these_is_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
