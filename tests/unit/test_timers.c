#include "test.h"

#include "device/wireguard/timers.h"

/* Any moment but 0. ms. */
static const uint64_t start = 1000000;
enum { SECOND = 1000, JITTER = 100 };

static struct timers timers;

static int set_up(void **state)
{
	(void)state;
	memset(&timers, 0, sizeof timers);
	return 0;
}

/* Runs until a moment as the control thread does; returns what was due, and when it was first. */
static unsigned int run_until(uint64_t from, uint64_t until, uint64_t *first)
{
	unsigned int actions = 0;
	uint64_t at;

	while ((at = timers_deadline(&timers, from)) <= until) {
		unsigned int due = timers_due(&timers, at);

		if (due && !actions)
			*first = at;
		actions |= due;
		from = at;
	}
	return actions;
}

static void nothing_is_due_of_a_peer_that_did_nothing(void **state)
{
	(void)state;
	assert_true(timers_deadline(&timers, start) == DEADLINE_NEVER);
	assert_int_equal(timers_due(&timers, start + 1000 * SECOND), 0);
}

static void data_without_an_answer_begins_a_handshake_after_15_s(void **state)
{
	uint64_t first = 0;

	(void)state;
	timers.jitter_ms = JITTER;
	assert_true(timers_record_sent(&timers, true, start));
	/* Later data does not put it off. */
	timers_record_sent(&timers, true, start + 14 * SECOND);
	assert_int_equal(run_until(start, start + 16 * SECOND, &first),
		TIMERS_HANDSHAKE | TIMERS_FORGET_SOURCE);
	assert_int_equal(first, start + KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS + JITTER);
}

static void any_answer_calls_the_handshake_off(void **state)
{
	uint64_t first = 0;

	(void)state;
	timers_record_sent(&timers, true, start);
	timers_record_received(&timers, false, start + 14 * SECOND);
	assert_int_equal(run_until(start, start + 100 * SECOND, &first), 0);
	assert_true(timers_deadline(&timers, start + 100 * SECOND) == DEADLINE_NEVER);
}

static void a_keepalive_needs_no_answer(void **state)
{
	uint64_t first = 0;

	(void)state;
	assert_false(timers_record_sent(&timers, false, start));
	assert_int_equal(run_until(start, start + 100 * SECOND, &first), 0);
}

static void received_data_is_answered_within_10_s(void **state)
{
	uint64_t first = 0;

	(void)state;
	assert_true(timers_record_received(&timers, true, start));
	timers_record_received(&timers, true, start + 9 * SECOND);
	assert_int_equal(run_until(start, start + 11 * SECOND, &first), TIMERS_KEEPALIVE);
	assert_int_equal(first, start + KEEPALIVE_TIMEOUT_MS);
}

static void whatever_is_sent_is_an_answer(void **state)
{
	uint64_t first = 0;

	(void)state;
	timers_record_received(&timers, true, start);
	timers_record_sent(&timers, false, start + 9 * SECOND);
	assert_int_equal(run_until(start, start + 100 * SECOND, &first), 0);
	timers_record_received(&timers, false, start + 100 * SECOND); /* a keepalive */
	assert_int_equal(run_until(start, start + 200 * SECOND, &first), 0);
}

static void workers_call_only_when_nobody_is_looking(void **state)
{
	uint64_t first = 0, at;

	(void)state;
	assert_true(timers_record_sent(&timers, true, start));
	assert_true(timers_deadline(&timers, start) <= start + KEEPALIVE_TIMEOUT_MS);
	/* Now it is watched. */
	timers_record_received(&timers, false, start + 1);
	assert_false(timers_record_sent(&timers, true, start + 2));
	assert_false(timers_record_received(&timers, true, start + 3));
	timers_record_sent(&timers, false, start + 4);
	/* It looks once more and finds nothing. */
	at = start + KEEPALIVE_TIMEOUT_MS;
	assert_int_equal(timers_due(&timers, at), 0);
	assert_true(timers_deadline(&timers, at) == DEADLINE_NEVER);
	assert_true(timers_record_received(&timers, true, at + 1));
	assert_int_equal(run_until(at + 1, at + 11 * SECOND, &first), TIMERS_KEEPALIVE);
	assert_int_equal(first, at + 1 + KEEPALIVE_TIMEOUT_MS);
}

static void a_note_made_while_watched_is_still_in_time(void **state)
{
	uint64_t first = 0;

	(void)state;
	timers_record_sent(&timers, true, start);
	timers_deadline(&timers, start);
	/* The answer is owed earlier than the 15 s of the data. */
	assert_false(timers_record_received(&timers, true, start + 1));
	assert_int_equal(run_until(start, start + 11 * SECOND, &first), TIMERS_KEEPALIVE);
	assert_int_equal(first, start + 1 + KEEPALIVE_TIMEOUT_MS);
}

static void an_initiation_is_repeated_every_5_s_with_jitter_for_90_s(void **state)
{
	uint64_t at, sent = start;
	int n = 1;

	(void)state;
	assert_true(timers_begin_handshake(&timers, start));
	timers_initiation_sent(&timers, start, JITTER);
	while ((at = timers_deadline(&timers, sent)) != DEADLINE_NEVER) {
		unsigned int due = timers_due(&timers, at);

		assert_int_equal(at, sent + REKEY_TIMEOUT_MS + JITTER);
		if (due == TIMERS_GIVE_UP)
			break;
		assert_int_equal(due, TIMERS_HANDSHAKE | TIMERS_FORGET_SOURCE);
		sent = at;
		timers_initiation_sent(&timers, sent, JITTER);
		n++;
	}
	assert_true(at >= start + REKEY_ATTEMPT_TIME_MS);
	assert_true(sent < start + REKEY_ATTEMPT_TIME_MS);
	assert_int_equal(n, 18);
	assert_true(timers_deadline(&timers, at) == DEADLINE_NEVER);
	assert_int_equal(timers.retransmit_at, 0);
}

static void data_that_waits_keeps_the_attempt_going(void **state)
{
	uint64_t at = start, last_wanted = start + 60 * SECOND;

	(void)state;
	timers_begin_handshake(&timers, start);
	timers_initiation_sent(&timers, start, 0);
	timers_record_wanted(&timers, last_wanted);
	for (;;) {
		at = timers_deadline(&timers, at);
		if (timers_due(&timers, at) == TIMERS_GIVE_UP)
			break;
		timers_initiation_sent(&timers, at, 0);
	}
	assert_int_equal(at, last_wanted + REKEY_ATTEMPT_TIME_MS);
}

static void two_initiations_are_never_within_5_s(void **state)
{
	uint64_t first = 0;

	(void)state;
	assert_true(timers_begin_handshake(&timers, start));
	timers_initiation_sent(&timers, start, 0);
	assert_false(timers_begin_handshake(&timers, start + 1)); /* under way */
	timers_session_confirmed(&timers);
	assert_false(timers_begin_handshake(&timers, start + SECOND)); /* too soon */
	assert_int_not_equal(timers.retransmit_at, 0);
	assert_int_equal(run_until(start + SECOND, start + 5 * SECOND, &first), TIMERS_HANDSHAKE);
	assert_int_equal(first, start + REKEY_TIMEOUT_MS);
}

static void a_session_ends_the_attempt(void **state)
{
	(void)state;
	timers_begin_handshake(&timers, start);
	timers_initiation_sent(&timers, start, 0);
	assert_int_not_equal(timers.retransmit_at, 0);
	timers_session_confirmed(&timers);
	assert_int_equal(timers.retransmit_at, 0);
	assert_true(timers_deadline(&timers, start) == DEADLINE_NEVER);
}

static void keys_are_forgotten_after_three_times_their_life(void **state)
{
	uint64_t first = 0;

	(void)state;
	timers_session_made(&timers, start);
	timers_session_made(&timers, start + 100 * SECOND); /* counts from the last */
	assert_int_equal(run_until(start, start + 641 * SECOND, &first), TIMERS_ZERO);
	assert_int_equal(first, start + 640 * SECOND);
	assert_true(timers_deadline(&timers, first) == DEADLINE_NEVER);
}

static void persistent_keepalives_come_so_long_after_the_last_packet(void **state)
{
	uint64_t first = 0;

	(void)state;
	timers.persistent_s = 25;
	timers_record_sent(&timers, false, start);
	timers_record_received(&timers, false, start + 20 * SECOND);
	assert_int_equal(run_until(start, start + 46 * SECOND, &first), TIMERS_KEEPALIVE);
	assert_int_equal(first, start + 45 * SECOND);
	/* And again, even if nothing could be sent. */
	assert_int_equal(run_until(first, start + 71 * SECOND, &first), TIMERS_KEEPALIVE);
	assert_int_equal(first, start + 70 * SECOND);
}

static void a_first_persistent_keepalive_is_due_at_once(void **state)
{
	(void)state;
	timers.persistent_s = 25;
	assert_true(timers_deadline(&timers, start) <= start);
	assert_int_equal(timers_due(&timers, start), TIMERS_KEEPALIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_due_of_a_peer_that_did_nothing, set_up),
		cmocka_unit_test_setup(
			data_without_an_answer_begins_a_handshake_after_15_s, set_up),
		cmocka_unit_test_setup(any_answer_calls_the_handshake_off, set_up),
		cmocka_unit_test_setup(a_keepalive_needs_no_answer, set_up),
		cmocka_unit_test_setup(received_data_is_answered_within_10_s, set_up),
		cmocka_unit_test_setup(whatever_is_sent_is_an_answer, set_up),
		cmocka_unit_test_setup(workers_call_only_when_nobody_is_looking, set_up),
		cmocka_unit_test_setup(a_note_made_while_watched_is_still_in_time, set_up),
		cmocka_unit_test_setup(
			an_initiation_is_repeated_every_5_s_with_jitter_for_90_s, set_up),
		cmocka_unit_test_setup(data_that_waits_keeps_the_attempt_going, set_up),
		cmocka_unit_test_setup(two_initiations_are_never_within_5_s, set_up),
		cmocka_unit_test_setup(a_session_ends_the_attempt, set_up),
		cmocka_unit_test_setup(keys_are_forgotten_after_three_times_their_life, set_up),
		cmocka_unit_test_setup(
			persistent_keepalives_come_so_long_after_the_last_packet, set_up),
		cmocka_unit_test_setup(a_first_persistent_keepalive_is_due_at_once, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
