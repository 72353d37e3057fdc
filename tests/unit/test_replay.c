#include "test.h"

#include <pthread.h>
#include <stdlib.h>

#include "device/wireguard/messages.h"
#include "device/wireguard/replay.h"
#include "random.h"

/* What the window has to do, by remembering everything. */
enum { MAX_COUNTER = 100000 };
struct naive {
	bool seen[MAX_COUNTER];
	uint64_t greatest;
};

static bool naive_accept(struct naive *naive, uint64_t counter)
{
	uint64_t word = counter / REPLAY_WORD_BITS, newest = naive->greatest / REPLAY_WORD_BITS;

	if (naive->seen[counter] || (word < newest && newest - word >= REPLAY_WORDS))
		return false;
	naive->seen[counter] = true;
	if (counter > naive->greatest)
		naive->greatest = counter;
	return true;
}

static struct replay replay;

static int set_up(void **state)
{
	(void)state;
	memset(&replay, 0, sizeof replay);
	return 0;
}

static void every_counter_in_order_is_accepted_once(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3 * REPLAY_WINDOW; i++) {
		assert_true(replay_accept(&replay, i));
		assert_false(replay_accept(&replay, i));
	}
}

static void a_counter_within_the_window_is_accepted_and_one_behind_it_is_not(void **state)
{
	const uint64_t base = 1000 * REPLAY_WINDOW;

	(void)state;
	assert_true(replay_accept(&replay, base));
	assert_true(replay_accept(&replay, base - REPLAY_WINDOW + 1));
	assert_false(replay_accept(&replay, base - REPLAY_WINDOW - REPLAY_WORD_BITS));
	assert_false(replay_accept(&replay, 0));
	for (uint64_t i = 1; i < REPLAY_WINDOW; i++)
		assert_int_equal(replay_accept(&replay, base - i), i != REPLAY_WINDOW - 1);
	for (uint64_t i = 0; i < REPLAY_WINDOW; i++)
		assert_false(replay_accept(&replay, base - i));
}

static void counters_end_where_the_key_does(void **state)
{
	(void)state;
	assert_false(replay_accept(&replay, UINT64_MAX));
	assert_false(replay_accept(&replay, REJECT_AFTER_MESSAGES));
	/* Far leaps, as far as the words' laps can tell, leave no counter out. */
	for (uint64_t i = 0; i < 1 << 20; i++)
		assert_true(replay_accept(&replay, i * REPLAY_WINDOW * 9));
}

static void a_leap_over_many_windows_forgets_nothing_that_counts(void **state)
{
	(void)state;
	assert_true(replay_accept(&replay, 5));
	/* The same word of the ring, laps later. */
	uint64_t leap = 5 + UINT64_C(7) * REPLAY_WORDS * REPLAY_WORD_BITS;
	assert_true(replay_accept(&replay, leap));
	assert_false(replay_accept(&replay, leap));
	assert_false(replay_accept(&replay, 5));
	assert_false(replay_accept(&replay, 6));
	assert_true(replay_accept(&replay, leap - 1));
}

static void random_orders_are_judged_as_by_remembering_everything(void **state)
{
	/* How far around the middle, which moves on, counters are scattered. */
	static const uint64_t spreads[] = {3, 40, 2000, REPLAY_WINDOW, 3 * REPLAY_WINDOW};
	struct naive *naive = malloc(sizeof(*naive));
	struct random random = {20160131};

	(void)state;
	for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++) {
		memset(naive, 0, sizeof *naive);
		memset(&replay, 0, sizeof replay);
		for (uint64_t i = 0; i < 4 * MAX_COUNTER; i++) {
			uint64_t counter =
				(i / 4 + random_below(&random, spreads[s])) % MAX_COUNTER;

			if (random_below(&random, 1000) == 0)
				counter = random_below(&random, MAX_COUNTER);
			assert_int_equal(
				replay_accept(&replay, counter), naive_accept(naive, counter));
		}
	}
	free(naive);
}

/* Each thread tries all of the counters, in an order of its own. */
enum { THREADS = 4, SHARED = 200000 };
static struct replay shared_window;
static _Atomic unsigned char taken[SHARED];

static void *take_all(void *argument)
{
	struct random random = {(uintptr_t)argument + 1};

	for (uint64_t i = 0; i < SHARED; i++) {
		/* Blocks of 64 in order, backwards or forwards inside. */
		uint64_t within = random_below(&random, 2) ? i % 64 : 63 - i % 64;
		uint64_t counter = i / 64 * 64 + within;

		if (counter < SHARED && replay_accept(&shared_window, counter))
			atomic_fetch_add(&taken[counter], 1);
	}
	return NULL;
}

static void several_threads_never_accept_a_counter_twice(void **state)
{
	pthread_t threads[THREADS];
	size_t accepted = 0;

	(void)state;
	memset(&shared_window, 0, sizeof shared_window);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, take_all, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < SHARED; i++) {
		assert_true(taken[i] <= 1);
		accepted += taken[i];
	}
	/* Nearly all: a thread that was far behind finds the window gone. */
	assert_true(accepted > SHARED / 2);
}

static struct replay saved_and_restored(uint32_t most_words)
{
	struct replay restored;
	uint32_t words[REPLAY_WORDS];
	uint64_t newest;
	uint32_t n = replay_save(&replay, &newest, words);

	memset(&restored, 0, sizeof restored);
	replay_restore(&restored, newest, words, n < most_words ? n : most_words);
	return restored;
}

static void a_window_that_is_restored_judges_as_the_one_that_was_saved(void **state)
{
	struct random random = {1};

	(void)state;
	for (uint64_t round = 0; round < 50; round++) {
		struct replay restored;
		uint64_t base = round * round * 4000;

		for (int i = 0; i < 300; i++)
			replay_accept(&replay, base + random_below(&random, 9000));
		restored = saved_and_restored(REPLAY_WORDS);
		for (uint64_t i = base < 9000 ? 0 : base - 9000; i < base + 10000; i++) {
			struct replay one = replay, other = restored;

			assert_int_equal(replay_accept(&one, i), replay_accept(&other, i));
			i += random_below(&random, 40);
		}
	}
}

static void what_is_not_known_of_a_window_counts_as_received(void **state)
{
	struct replay restored;

	(void)state;
	replay_accept(&replay, 5000);
	restored = saved_and_restored(2);
	assert_true(replay_accept(&restored, 5001));
	assert_true(replay_accept(&restored, 5000 - 2 * REPLAY_WORD_BITS + REPLAY_WORD_BITS));
	assert_false(replay_accept(&restored, 5000 - 3 * REPLAY_WORD_BITS));
	assert_false(replay_accept(&restored, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_window_that_is_restored_judges_as_the_one_that_was_saved, set_up),
		cmocka_unit_test_setup(what_is_not_known_of_a_window_counts_as_received, set_up),
		cmocka_unit_test_setup(every_counter_in_order_is_accepted_once, set_up),
		cmocka_unit_test_setup(
			a_counter_within_the_window_is_accepted_and_one_behind_it_is_not, set_up),
		cmocka_unit_test_setup(counters_end_where_the_key_does, set_up),
		cmocka_unit_test_setup(
			a_leap_over_many_windows_forgets_nothing_that_counts, set_up),
		cmocka_unit_test_setup(
			random_orders_are_judged_as_by_remembering_everything, set_up),
		cmocka_unit_test_setup(several_threads_never_accept_a_counter_twice, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
