#include "test.h"

#include "netlink/address.h"
#include "host/bind_address.h"
#include "host/mark.h"

static bool is_ours(uint8_t length, uint32_t valid_s, uint8_t protocol)
{
	struct address address = {
		.prefix_length = length, .valid_s = valid_s, .protocol = protocol};

	return bind_address_is_ours(&address);
}

static void an_address_with_our_mark_is_ours(void **state)
{
	(void)state;
	assert_true(is_ours(32, 60, SERVER_MARK));
	assert_true(is_ours(32, ADDRESS_FOREVER, SERVER_MARK));
	assert_false(is_ours(24, 60, SERVER_MARK));
}

static void without_marks_a_short_or_an_endless_lifetime_tells(void **state)
{
	(void)state;
	assert_true(is_ours(32, 1, ADDRESS_PROTOCOL_NONE));
	assert_true(is_ours(32, 60, ADDRESS_PROTOCOL_NONE));
	assert_true(is_ours(32, INT32_MAX, ADDRESS_PROTOCOL_NONE));
	assert_true(is_ours(32, INT32_MAX - 10 * 365 * 86400, ADDRESS_PROTOCOL_NONE));
}

static void what_the_host_gives_an_address_is_not_ours(void **state)
{
	(void)state;
	assert_false(is_ours(32, ADDRESS_FOREVER, ADDRESS_PROTOCOL_NONE));
	assert_false(is_ours(32, 61, ADDRESS_PROTOCOL_NONE));
	assert_false(is_ours(32, 86400, ADDRESS_PROTOCOL_NONE));
	assert_false(is_ours(24, 30, ADDRESS_PROTOCOL_NONE));
	assert_false(is_ours(32, 30, SERVER_MARK + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_with_our_mark_is_ours),
		cmocka_unit_test(without_marks_a_short_or_an_endless_lifetime_tells),
		cmocka_unit_test(what_the_host_gives_an_address_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
