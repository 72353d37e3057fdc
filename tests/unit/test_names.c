#include "addresses.h"

#include "plane/plane.h"

static void interfaces_are_named_by_index_and_offset(void **state)
{
	(void)state;
	assert_string_equal(plane_device_name(0).s, "vprox0");
	assert_string_equal(plane_ipip_name(1, 65532).s, "vp1-65532");
}

static void only_our_names_in_their_shortest_form_are_recognised(void **state)
{
	static const char *const bad_device[] = {"vprox", "vprox01", "vprox-1", "vprox1 ",
		"vprox1a", "vpro1", "xvprox1", "vprox4294967296"};
	static const char *const bad_ipip[] = {"vp-1", "vp0", "vp0-", "vp00-1", "vp0-01", "vp0-1x",
		"vprox0", "vp0--1", "vp0-+1", "vp0-99999999999"};
	unsigned int index;
	uint32_t offset;

	(void)state;
	assert_true(plane_parse_device_name("vprox12", &index));
	assert_int_equal(index, 12);
	assert_true(plane_parse_ipip_name("vp3-4294967293", &index, &offset));
	assert_int_equal(index, 3);
	assert_int_equal(offset, 4294967293);
	for (size_t i = 0; i < sizeof bad_device / sizeof *bad_device; i++)
		assert_false(plane_parse_device_name(bad_device[i], &index));
	for (size_t i = 0; i < sizeof bad_ipip / sizeof *bad_ipip; i++)
		assert_false(plane_parse_ipip_name(bad_ipip[i], &index, &offset));
}

static void ipip_peers_have_interfaces_of_their_own_or_the_one_that_they_share(void **state)
{
	(void)state;
	assert_true(plane_is_ipip_name("vp0-1"));
	assert_true(plane_is_ipip_name("vprox-ipip"));
	assert_false(plane_is_ipip_name("vprox0"));
	assert_false(plane_is_ipip_name("vprox-ipip0"));
}

static void a_block_whose_last_name_is_longer_than_15_characters_does_not_fit(void **state)
{
	(void)state;
	assert_true(plane_names_fit(0, prefix("10.0.0.0/8")));
	assert_true(plane_names_fit(0, prefix("0.0.0.0/0")));
	/* vp99-4294967293 has 15 characters, vp100-4294967293 has 16. */
	assert_true(plane_names_fit(99, prefix("0.0.0.0/0")));
	assert_false(plane_names_fit(100, prefix("0.0.0.0/0")));
	/* The largest offset of a /6 has 8 digits, of a /5 9. */
	assert_true(plane_names_fit(9999, prefix("64.0.0.0/6")));
	assert_false(plane_names_fit(10000, prefix("64.0.0.0/5")));
	assert_true(plane_names_fit(0, prefix("10.0.0.0/30")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			ipip_peers_have_interfaces_of_their_own_or_the_one_that_they_share),
		cmocka_unit_test(interfaces_are_named_by_index_and_offset),
		cmocka_unit_test(only_our_names_in_their_shortest_form_are_recognised),
		cmocka_unit_test(a_block_whose_last_name_is_longer_than_15_characters_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
