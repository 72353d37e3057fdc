#include "test.h"

#include "gate/fair_queue.h"

struct fixture {
	struct fair_queue queue;
	struct fair_lane a, b, c;
	struct fair_item items[8];
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	fair_queue_init(&f.queue);
	fair_lane_init(&f.a);
	fair_lane_init(&f.b);
	fair_lane_init(&f.c);
	*state = &f;
	return 0;
}

/* The number of the item whose turn it is. */
static int turn(struct fixture *f)
{
	struct fair_item *item = fair_queue_first(&f->queue);

	fair_queue_take(&f->queue, item);
	return (int)(item - f->items);
}

static void assert_turns(struct fixture *f, const char *expected)
{
	for (; *expected; expected++)
		assert_int_equal(turn(f), *expected - '0');
	assert_true(fair_queue_is_empty(&f->queue));
	assert_null(fair_queue_first(&f->queue));
}

static void lanes_take_turns_and_in_a_lane_the_first_is_first(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		fair_queue_add(&f->queue, &f->a, &f->items[i]);
	fair_queue_add(&f->queue, &f->b, &f->items[4]);
	fair_queue_add(&f->queue, &f->b, &f->items[5]);
	fair_queue_add(&f->queue, &f->c, &f->items[6]);
	assert_turns(f, "0461523");
}

static void one_that_comes_late_waits_for_one_of_each_lane_at_the_most(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 6; i++)
		fair_queue_add(&f->queue, &f->a, &f->items[i]);
	assert_int_equal(turn(f), 0);
	fair_queue_add(&f->queue, &f->b, &f->items[6]);
	assert_int_equal(turn(f), 1);
	assert_int_equal(turn(f), 6);
	assert_turns(f, "2345");
}

static void who_is_forgotten_has_no_turn_and_its_lane_keeps_its_own(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++)
		fair_queue_add(&f->queue, &f->a, &f->items[i]);
	fair_queue_add(&f->queue, &f->b, &f->items[3]);
	fair_queue_forget(&f->queue, &f->items[0]);
	fair_queue_forget(&f->queue, &f->items[0]);
	assert_int_equal(turn(f), 1);
	fair_queue_forget(&f->queue, &f->items[3]);
	assert_turns(f, "2");
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		RULE(lanes_take_turns_and_in_a_lane_the_first_is_first),
		RULE(one_that_comes_late_waits_for_one_of_each_lane_at_the_most),
		RULE(who_is_forgotten_has_no_turn_and_its_lane_keeps_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
