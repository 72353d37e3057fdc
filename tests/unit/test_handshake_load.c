#include "test.h"

#include "device/wireguard/handshake_load.h"

enum { NS_PER_MS = 1000000, SECOND = 1000 };

static void a_long_queue_is_load_for_a_while(void **state)
{
	struct handshake_load load = {0};
	uint64_t now = 5000;

	(void)state;
	assert_false(handshake_load_is_high(&load, HANDSHAKE_LOAD_WAITING, now));
	assert_true(handshake_load_is_high(&load, HANDSHAKE_LOAD_WAITING + 1, now));
	assert_true(handshake_load_is_high(&load, 1, now + HANDSHAKE_LOAD_LINGER_MS - 1));
	assert_false(handshake_load_is_high(&load, 1, now + HANDSHAKE_LOAD_LINGER_MS));
}

static void a_storm_of_clients_that_come_back_is_none(void **state)
{
	struct handshake_load load = {0};
	uint64_t now = 5000;

	(void)state;
	for (int i = 0; i < HANDSHAKE_LOAD_BURST_MS; i++, now++) {
		handshake_load_add(&load, NS_PER_MS, now);
		assert_false(handshake_load_is_high(&load, 1, now));
	}
}

/* Messages that come no faster than they can be dealt with, and take most of a processor. */
static void whoever_takes_more_than_a_share_for_long_makes_load(void **state)
{
	struct handshake_load load = {0};
	uint64_t now = 5000, high = 0;

	(void)state;
	for (uint64_t i = 0; i < 20 * SECOND; i++, now++) {
		/* what it then takes: cookies are cheap */
		bool is_high = handshake_load_is_high(&load, 1, now);

		handshake_load_add(&load, is_high ? NS_PER_MS / 10 : NS_PER_MS * 8 / 10, now);
		high += is_high;
	}
	assert_true(high > 10 * SECOND && high < 20 * SECOND);
}

static void a_share_is_never_load(void **state)
{
	struct handshake_load load = {0};

	(void)state;
	for (uint64_t now = 5000; now < 60 * SECOND; now++) {
		handshake_load_add(&load, NS_PER_MS / HANDSHAKE_LOAD_SHARE, now);
		assert_false(handshake_load_is_high(&load, 1, now));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_queue_is_load_for_a_while),
		cmocka_unit_test(a_storm_of_clients_that_come_back_is_none),
		cmocka_unit_test(whoever_takes_more_than_a_share_for_long_makes_load),
		cmocka_unit_test(a_share_is_never_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
