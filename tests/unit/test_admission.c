#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate/admission.h"
#include "gate/connection.h"
#include "ipc/gate_counts.h"

enum {
	MAX = 4,
	MAX_PER_SOURCE = 2,
};

/* A set of connections, and how often it told that it is empty. No byte is ever sent, so nothing
 * of TLS is needed. */
struct fixture {
	struct connection_set set;
	unsigned int emptied;
};

static void count_emptied(void *context)
{
	((struct fixture *)context)->emptied++;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->set = (struct connection_set){.base = event_base_new(),
		.clock = &system_clock,
		.max = MAX,
		.max_per_source = MAX_PER_SOURCE,
		.emptied = count_emptied,
		.context = fixture};
	assert_non_null(fixture->set.base);
	assert_int_equal(connection_set_init(&fixture->set), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	admission_close_all(&fixture->set);
	connection_set_free(&fixture->set);
	event_base_free(fixture->set.base);
	free(fixture);
	return 0;
}

/* Returns the client's end of a new connection from source number n. */
static int admit(struct fixture *fixture, uint8_t n)
{
	struct client_address client = {.ip = {.s6_addr = {[15] = n}}};
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	admission_admit(&fixture->set, ends[0], &client);
	return ends[1];
}

static bool is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN;
}

static void one_too_many_of_a_source_is_closed_at_once(void **state)
{
	struct fixture *fixture = *state;
	int a = admit(fixture, 1), b = admit(fixture, 1), c = admit(fixture, 1),
	    other = admit(fixture, 2);

	assert_true(is_open(a) && is_open(b) && is_open(other));
	assert_false(is_open(c));
	assert_int_equal(fixture->set.count, 3);
	close(a);
	close(b);
	close(c);
	close(other);
}

static void one_too_many_in_all_takes_the_place_of_the_oldest(void **state)
{
	struct fixture *fixture = *state;
	int fds[MAX + 2];

	for (uint8_t i = 0; i < MAX + 2; i++)
		fds[i] = admit(fixture, i);
	assert_int_equal(fixture->set.count, MAX);
	for (int i = 0; i < MAX + 2; i++) {
		assert_int_equal(is_open(fds[i]), i >= 2);
		close(fds[i]);
	}
}

static void who_waits_for_the_broker_is_not_evicted(void **state)
{
	struct fixture *fixture = *state;
	int fds[MAX], late, broker[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, broker), 0);
	fixture->set.broker = broker_link_new(
		fixture->set.base, broker[0], IPC_OUTSTANDING_MAX, &(struct broker_events){0});
	assert_non_null(fixture->set.broker);
	for (uint8_t i = 0; i < MAX; i++) {
		fds[i] = admit(fixture, i);
		struct connection *newest = TAILQ_LAST(&fixture->set.unanswered, connection_list);

		connection_set_enter(newest, PHASE_ASKING);
		newest->call.lane = &newest->source->calls;
		broker_link_ask(fixture->set.broker, &newest->call);
	}
	late = admit(fixture, MAX);
	assert_false(is_open(late));
	for (int i = 0; i < MAX; i++) {
		assert_true(is_open(fds[i]));
		close(fds[i]);
	}
	close(late);
	admission_close_all(&fixture->set);
	broker_link_free(fixture->set.broker);
	close(broker[1]);
}

static void who_has_been_answered_is_the_first_to_go(void **state)
{
	struct fixture *fixture = *state;
	int fds[MAX], late;

	for (uint8_t i = 0; i < MAX; i++)
		fds[i] = admit(fixture, i);

	struct connection *newest = TAILQ_LAST(&fixture->set.unanswered, connection_list);

	connection_set_enter(newest, PHASE_LINGERING);
	late = admit(fixture, MAX);
	assert_true(is_open(late) && is_open(fds[0]));
	assert_false(is_open(fds[MAX - 1]));
	for (int i = 0; i < MAX; i++)
		close(fds[i]);
	close(late);
}

static void a_closed_connection_gives_its_place_back_to_its_source(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 100; i++) {
		int fd = admit(fixture, 1);

		assert_true(is_open(fd));
		close(fd);
		event_base_loop(fixture->set.base, EVLOOP_ONCE);
		assert_int_equal(fixture->set.count, 0);
		assert_int_equal(fixture->set.sources.table.count, 0);
	}
}

static void draining_closes_the_idle_ones_and_tells_when_it_is_empty(void **state)
{
	struct fixture *fixture = *state;
	int idle = admit(fixture, 1), busy = admit(fixture, 2);
	struct connection *connection = TAILQ_LAST(&fixture->set.unanswered, connection_list);

	connection_set_enter(connection, PHASE_LINGERING);
	admission_drain(&fixture->set, false);
	assert_false(is_open(idle));
	assert_true(is_open(busy));
	assert_int_equal(fixture->emptied, 0);
	connection_close(connection);
	assert_int_equal(fixture->emptied, 1);
	close(idle);
	close(busy);
}

static void log_lines_are_counted_instead_of_written_when_there_are_too_many(void **state)
{
	struct log_limit limit = {0};
	struct log_limit_text more;

	(void)state;
	for (int i = 0; i < LOG_LIMIT_LINES; i++) {
		assert_true(log_limit_allows(&limit, 5000, &more));
		assert_string_equal(more.s, "");
	}
	for (int i = 0; i < 300; i++)
		assert_false(log_limit_allows(&limit, 5999, &more));
	assert_true(log_limit_allows(&limit, 6000, &more));
	assert_string_equal(more.s, " (and 300 more like it)");
	assert_true(log_limit_allows(&limit, 6000, &more));
	assert_string_equal(more.s, "");
}

static void who_has_no_answer_yet_is_counted_as_waiting(void **state)
{
	struct fixture *fixture = *state;
	struct gate_counts counts = {0};
	int a, b;

	fixture->set.counts = &counts;
	a = admit(fixture, 1);
	b = admit(fixture, 2);
	assert_int_equal(gate_counts_waiting(&counts), 2);

	struct connection *answered = TAILQ_LAST(&fixture->set.unanswered, connection_list);

	/* The broker has not answered yet. */
	connection_set_enter(answered, PHASE_ASKING);
	assert_int_equal(gate_counts_waiting(&counts), 2);
	connection_set_enter(answered, PHASE_ANSWERING);
	assert_int_equal(gate_counts_waiting(&counts), 1);
	connection_set_enter(answered, PHASE_LINGERING);
	assert_int_equal(gate_counts_waiting(&counts), 1);
	connection_close(answered);
	assert_int_equal(gate_counts_waiting(&counts), 1);
	connection_close(TAILQ_FIRST(&fixture->set.unanswered));
	assert_int_equal(gate_counts_waiting(&counts), 0);
	fixture->set.counts = NULL;
	close(a);
	close(b);
}

/* That it has, is seen by the peak, which begins anew. */
static void memory_goes_back_when_nobody_has_been_there_for_a_while_after_some(void **state)
{
	struct fixture *fixture = *state;
	int fds[MAX];

	for (uint8_t i = 0; i < MAX; i++)
		fds[i] = admit(fixture, i);
	admission_close_all(&fixture->set);
	assert_int_equal(fixture->set.peak, MAX);
	while (fixture->set.peak > 0)
		assert_int_equal(event_base_loop(fixture->set.base, EVLOOP_ONCE), 0);
	for (int i = 0; i < MAX; i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			one_too_many_of_a_source_is_closed_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_too_many_in_all_takes_the_place_of_the_oldest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_has_been_answered_is_the_first_to_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_closed_connection_gives_its_place_back_to_its_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			draining_closes_the_idle_ones_and_tells_when_it_is_empty, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			who_waits_for_the_broker_is_not_evicted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_has_no_answer_yet_is_counted_as_waiting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			memory_goes_back_when_nobody_has_been_there_for_a_while_after_some, set_up,
			tear_down),
		cmocka_unit_test(log_lines_are_counted_instead_of_written_when_there_are_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
