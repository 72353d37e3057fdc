#include "test.h"

#include "server/held_answers.h"

enum { WAIT_MS = 200 };

struct fixture {
	struct clock clock;
	struct held_answers *held;
	uint64_t now_ms;
	uint64_t answered[16]; /* ids, in their order */
	size_t n;
};

static uint64_t now_ms(const struct clock *clock)
{
	return ((const struct fixture *)clock)->now_ms;
}

static void on_answer(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address)
{
	struct fixture *f = context;

	assert_int_equal(status, IPC_OK);
	assert_int_equal(address.value, to->id);
	f->answered[f->n++] = to->id;
}

static int set_up(void **state)
{
	static struct fixture f;
	const struct held_answers_config config = {
		.wait_ms = WAIT_MS, .answer = on_answer, .context = &f, .clock = &f.clock};

	f = (struct fixture){.clock = {now_ms}, .now_ms = 1000};
	*state = &f;
	return held_answers_new(NULL, &config, &f.held);
}

static int tear_down(void **state)
{
	held_answers_free(((struct fixture *)*state)->held);
	return 0;
}

static void add(struct fixture *f, uint32_t id, uint64_t sequence)
{
	const struct reply_to to = {.id = id};

	held_answers_add(f->held, &to, (struct ipv4){id}, sequence);
}

static void an_answer_comes_when_it_is_durable_and_not_before(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 10);
	add(f, 2, 11);
	add(f, 3, 12);
	assert_int_equal(f->n, 0);
	held_answers_durable(f->held, 11);
	assert_int_equal(f->n, 2);
	assert_int_equal(f->answered[0], 1);
	assert_int_equal(f->answered[1], 2);
	assert_int_equal(held_answers_count(f->held), 1);
}

static void what_is_durable_already_is_answered_at_once(void **state)
{
	struct fixture *f = *state;

	held_answers_durable(f->held, 20);
	add(f, 1, 20);
	assert_int_equal(f->n, 1);
}

static void a_slow_store_costs_its_wait_once_and_nobody_waits_again_until_it_has_caught_up(
	void **state)
{
	struct fixture *f = *state;

	add(f, 1, 1);
	f->now_ms += WAIT_MS - 1;
	held_answers_expire(f->held);
	assert_int_equal(f->n, 0);
	add(f, 2, 2);
	f->now_ms++;
	held_answers_expire(f->held);
	assert_int_equal(f->n, 2);
	add(f, 3, 3);
	assert_int_equal(f->n, 3);
	f->now_ms += WAIT_MS;
	held_answers_durable(f->held, 2);
	add(f, 4, 4);
	assert_int_equal(f->n, 4);
	held_answers_durable(f->held, 4);
	add(f, 5, 5);
	assert_int_equal(f->n, 4);
}

static void a_store_that_is_fast_again_is_waited_for_also_while_orders_keep_coming(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 1);
	f->now_ms += WAIT_MS;
	held_answers_expire(f->held);
	add(f, 2, 2);
	f->now_ms += WAIT_MS;
	held_answers_durable(f->held, 1);
	add(f, 3, 3);
	assert_int_equal(f->n, 3);
	f->now_ms++;
	held_answers_durable(f->held, 2);
	add(f, 4, 4);
	assert_int_equal(f->n, 3);
}

static void what_was_lost_and_ordered_again_is_waited_for_to_its_end(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 10);
	held_answers_lost(f->held, 500);
	held_answers_durable(f->held, 10);
	assert_int_equal(f->n, 0);
	held_answers_durable(f->held, 256);
	assert_int_equal(f->n, 0);
	held_answers_durable(f->held, 500);
	assert_int_equal(f->n, 1);
}

static void with_no_time_to_wait_all_is_answered_at_once_and_no_store_is_late(void **state)
{
	struct fixture *f = *state;
	const struct held_answers_config config = {
		.answer = on_answer, .context = f, .clock = &f->clock};

	held_answers_free(f->held);
	assert_int_equal(held_answers_new(NULL, &config, &f->held), 0);
	add(f, 1, 1);
	assert_int_equal(f->n, 1);
	assert_int_equal(held_answers_count(f->held), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_was_lost_and_ordered_again_is_waited_for_to_its_end, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_store_that_is_fast_again_is_waited_for_also_while_orders_keep_coming,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			with_no_time_to_wait_all_is_answered_at_once_and_no_store_is_late, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			an_answer_comes_when_it_is_durable_and_not_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_durable_already_is_answered_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_slow_store_costs_its_wait_once_and_nobody_waits_again_until_it_has_caught_up,
			set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
