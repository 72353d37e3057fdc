#include "test.h"

#include <errno.h>

#include "ipc/message.h"
#include "server/gate_allowance.h"

enum {
	NOW_MS = 1000000,
};

/* Reads as much as may be read at this moment. */
static unsigned int read_all(struct gate_allowance *allowance, uint64_t now_ms)
{
	unsigned int n = 0;

	for (; gate_allowance_wait_ms(allowance, now_ms) == 0; n++)
		gate_allowance_spend(allowance);
	return n;
}

static void a_gate_that_asks_without_end_gets_its_requests_a_second_and_no_more(void **state)
{
	struct gate_allowance allowance = gate_allowance_full(NOW_MS);
	unsigned int n = read_all(&allowance, NOW_MS);

	(void)state;
	assert_int_equal(n, GATE_REQUESTS_BURST);
	n = 0;
	for (uint64_t now_ms = NOW_MS; now_ms <= NOW_MS + 1000; now_ms++)
		n += read_all(&allowance, now_ms);
	assert_int_equal(n, GATE_REQUESTS_PER_SECOND);
}

static void after_the_wait_that_is_told_there_is_something_to_read(void **state)
{
	struct gate_allowance allowance = gate_allowance_full(NOW_MS);
	uint64_t now_ms = NOW_MS + 7;
	unsigned int wait_ms;

	(void)state;
	read_all(&allowance, now_ms);
	wait_ms = gate_allowance_wait_ms(&allowance, now_ms);
	assert_true(wait_ms > 0);
	assert_int_equal(gate_allowance_wait_ms(&allowance, now_ms + wait_ms), 0);
}

static void an_idle_gate_does_not_save_up(void **state)
{
	struct gate_allowance allowance = gate_allowance_full(NOW_MS);

	(void)state;
	read_all(&allowance, NOW_MS);
	assert_int_equal(read_all(&allowance, NOW_MS + 3600 * 1000), GATE_REQUESTS_BURST);
}

static void unanswered_requests_are_limited(void **state)
{
	struct gate_allowance allowance = gate_allowance_full(NOW_MS);

	(void)state;
	for (int i = 0; i < IPC_OUTSTANDING_MAX; i++)
		assert_int_equal(gate_allowance_ask(&allowance), 0);
	assert_int_equal(gate_allowance_ask(&allowance), -EDQUOT);
	gate_allowance_answer(&allowance);
	assert_int_equal(gate_allowance_ask(&allowance), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_gate_that_asks_without_end_gets_its_requests_a_second_and_no_more),
		cmocka_unit_test(after_the_wait_that_is_told_there_is_something_to_read),
		cmocka_unit_test(an_idle_gate_does_not_save_up),
		cmocka_unit_test(unanswered_requests_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
