#include "test.h"

#include <event2/event.h>

#include "gate/handshake_queue.h"

enum {
	N = 200,
	MAX = HANDSHAKES_AT_LEAST,
};

struct test_clock {
	struct clock clock;
	uint64_t ms;
};

static uint64_t now_ms(const struct clock *clock)
{
	return ((const struct test_clock *)clock)->ms;
}

struct fixture {
	struct event_base *base;
	struct test_clock clock;
	struct handshake_queue queue;
	struct fair_lane lanes[2];
	struct tls_handshake handshakes[N];
	unsigned int begun, gave_way;
	struct tls_handshake *not_to_blame, *last_begun, *last_gave_way;
};

static struct fixture f;

static void begin(struct tls_handshake *handshake)
{
	f.begun++;
	f.last_begun = handshake;
}

static bool give_way(struct tls_handshake *handshake)
{
	if (handshake == f.not_to_blame)
		return false;
	f.gave_way++;
	f.last_gave_way = handshake;
	handshake_queue_end(&f.queue, handshake);
	return true;
}

static int setup(void **state)
{
	(void)state;
	f = (struct fixture){.base = event_base_new(), .clock = {{now_ms}, 1000 * 1000}};
	fair_lane_init(&f.lanes[0]);
	fair_lane_init(&f.lanes[1]);
	return handshake_queue_init(&f.queue, f.base, &f.clock.clock, MAX);
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++)
		handshake_queue_end(&f.queue, &f.handshakes[i]);
	handshake_queue_free(&f.queue);
	event_base_free(f.base);
	return 0;
}

static void add(int number, int lane)
{
	f.handshakes[number].begin = begin;
	f.handshakes[number].give_way = give_way;
	handshake_queue_add(&f.queue, &f.lanes[lane], &f.handshakes[number]);
}

/* Until nothing more happens by itself. */
static void run(void)
{
	unsigned int before;

	do {
		before = f.begun + f.gave_way;
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	} while (f.begun + f.gave_way > before);
}

static void so_many_run_at_once_and_each_that_ends_lets_one_begin(void **state)
{
	(void)state;
	for (int i = 0; i < MAX + 10; i++)
		add(i, 0);
	assert_int_equal(f.begun, 0); /* not at once: others have their turn first */
	run();
	assert_int_equal(f.begun, MAX);
	handshake_queue_end(&f.queue, &f.handshakes[5]);
	run();
	assert_int_equal(f.begun, MAX + 1);
	assert_ptr_equal(f.last_begun, &f.handshakes[MAX]);
	assert_int_equal(f.gave_way, 0);
}

static void one_that_waits_for_its_client_gives_way_after_the_grace(void **state)
{
	(void)state;
	for (int i = 0; i < MAX + 1; i++)
		add(i, 0);
	run();
	assert_int_equal(f.gave_way, 0);
	f.clock.ms += HANDSHAKE_GRACE_MS;
	add(MAX + 1, 0);
	run();
	assert_int_equal(f.gave_way, 2);
	assert_ptr_equal(f.last_gave_way, &f.handshakes[1]);
	assert_int_equal(f.begun, MAX + 2);
}

static void one_that_does_not_wait_for_its_client_does_not_give_way(void **state)
{
	(void)state;
	for (int i = 0; i < MAX + 1; i++)
		add(i, 0);
	run();
	f.not_to_blame = &f.handshakes[0];
	f.clock.ms += HANDSHAKE_GRACE_MS;
	add(MAX + 1, 0);
	run();
	assert_int_equal(f.begun, MAX);
	handshake_queue_end(&f.queue, &f.handshakes[0]);
	run();
	assert_int_equal(f.gave_way, 1);
	assert_int_equal(f.begun, MAX + 2);
}

static void one_of_another_source_does_not_wait_for_all_of_the_first(void **state)
{
	(void)state;
	for (int i = 0; i < MAX + 50; i++)
		add(i, 0);
	run();
	add(N - 1, 1);
	handshake_queue_end(&f.queue, &f.handshakes[0]);
	handshake_queue_end(&f.queue, &f.handshakes[1]);
	run();
	assert_true(f.handshakes[N - 1].is_running);
}

static void one_that_is_gone_before_its_turn_does_not_begin(void **state)
{
	(void)state;
	add(0, 0);
	add(1, 0);
	handshake_queue_end(&f.queue, &f.handshakes[0]);
	run();
	assert_int_equal(f.begun, 1);
	assert_ptr_equal(f.last_begun, &f.handshakes[1]);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(so_many_run_at_once_and_each_that_ends_lets_one_begin),
		RULE(one_that_waits_for_its_client_gives_way_after_the_grace),
		RULE(one_that_does_not_wait_for_its_client_does_not_give_way),
		RULE(one_of_another_source_does_not_wait_for_all_of_the_first),
		RULE(one_that_is_gone_before_its_turn_does_not_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
