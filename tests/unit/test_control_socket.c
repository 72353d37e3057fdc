/* The control socket, with this process on both of its ends. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/report.h"
#include "server/control_socket.h"
#include "server/data_plane.h"
#include "server/endpoint.h"
#include "server/peer_listing.h"

enum {
	ANSWER_SIZE = 1 << 20, /* more than the kernel keeps for a reader that does not read */
	TIMEOUT_MS = 20000,
	DEADLINE_MS = 1500,
	STILL_MS = 200,
	TURNS = 20,
	TURN_US = 500,
	N_PEERS = 20000, /* some 40 pieces */
	PIECES_OF_SOCKET = 8, /* that the kernel keeps for a reader that does not read, at most */
};

struct fixture {
	char path[64];
	struct event_base *base;
	struct control_socket *control;
	unsigned int n_answers;
	uint64_t order; /* the number of the last one */
	int result; /* of the next answers */
	struct data_plane data_plane;
	struct endpoint endpoint;
	bool has_peers; /* the next answers have */
};

static int answer(
	void *context, enum report_extent extent, struct evbuffer *out, struct peer_listing **peers)
{
	struct fixture *f = context;
	char *data = calloc(1, ANSWER_SIZE);

	assert_int_equal(extent, REPORT_ALL);
	if (f->has_peers)
		*peers = peer_listing_new(&f->data_plane);
	f->n_answers++;
	evbuffer_add(out, data, ANSWER_SIZE);
	free(data);
	return f->result;
}

static int disconnect(void *context, const struct disconnect_order *order, uint64_t number)
{
	struct fixture *f = context;

	assert_int_equal(order->kind, DISCONNECT_ADDRESS);
	f->order = number;
	return f->result;
}

static void open_socket(struct fixture *f)
{
	const struct control_socket_config config = {.path = f->path,
		.deadline_ms = DEADLINE_MS,
		.still_ms = STILL_MS,
		.answer = answer,
		.disconnect = disconnect,
		.context = f};

	assert_int_equal(control_socket_open(f->base, &config, &f->control), 0);
}

static int setup(void **state)
{
	static struct fixture f;

	signal(SIGPIPE, SIG_IGN); /* as the server has it */
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	f = (struct fixture){0};
	snprintf(f.path, sizeof f.path, "/tmp/vprox-test-%d.sock", (int)getpid());
	f.base = event_base_new();
	open_socket(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_socket_close(f->control);
	event_base_free(f->base);
	return access(f->path, F_OK) == 0;
}

/* Lets the server's end work for a moment. */
static void turn(struct fixture *f)
{
	for (int i = 0; i < TURNS; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
	usleep(TURN_US);
}

static int connect_to(struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void ask(int fd)
{
	const struct report_request request = {.version = REPORT_VERSION};

	assert_int_equal(send(fd, &request, sizeof request, MSG_NOSIGNAL), sizeof request);
}

/* Reads to the end of the stream; returns how much there was. Closes it. */
static size_t read_all(struct fixture *f, int fd)
{
	uint64_t end = clock_now_ms(&system_clock) + TIMEOUT_MS;
	static char data[1 << 16];
	size_t length = 0;

	while (clock_now_ms(&system_clock) < end) {
		ssize_t n = recv(fd, data, sizeof data, 0);

		if (n < 0 && errno == EAGAIN) {
			turn(f);
			continue;
		}
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	close(fd);
	return length;
}

static void a_question_gets_one_answer_and_the_end_of_the_stream(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	ask(fd);
	assert_int_equal(read_all(f, fd), ANSWER_SIZE);
	assert_int_equal(f->n_answers, 1);
}

static void send_order(struct fixture *f, int fd)
{
	const struct report_request request = {
		.version = REPORT_VERSION, .extent = REPORT_DISCONNECT};
	const struct disconnect_order order = {.kind = DISCONNECT_ADDRESS, .address = {1}};

	assert_int_equal(send(fd, &request, sizeof request, 0), sizeof request);
	turn(f);
	assert_int_equal(f->order, 0);
	assert_int_equal(send(fd, &order, sizeof order, 0), sizeof order);
	while (f->order == 0)
		turn(f);
}

/* An endpoint with so many peers; there is no device. */
static void make_peers(struct fixture *f)
{
	f->endpoint = (struct endpoint){.state = ENDPOINT_OPEN, .clock = &system_clock};
	assert_int_equal(peers_init(&f->endpoint.peers), 0);
	for (uint32_t i = 0; i < N_PEERS; i++) {
		const struct plane_peer id = {
			.kind = PEER_IPIP, .inner = {i + 1}, .remote = {i + 1}};

		assert_non_null(peers_add(&f->endpoint.peers, &id, 0));
	}
	TAILQ_INIT(&f->data_plane.endpoints);
	TAILQ_INSERT_TAIL(&f->data_plane.endpoints, &f->endpoint, entry);
	f->has_peers = true;
}

static void peers_follow_the_answer_a_piece_at_a_time_as_they_are_read(void **state)
{
	struct fixture *f = *state;
	uint64_t n_before = 0;
	size_t length;
	int fd;

	make_peers(f);
	fd = connect_to(f);
	ask(fd);
	for (int i = 0; i < 100; i++) {
		event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(f->endpoint.peers.names.n_pieces <= n_before + 1);
		n_before = f->endpoint.peers.names.n_pieces;
	}
	length = read_all(f, fd);
	assert_true(length > ANSWER_SIZE + N_PEERS * sizeof(struct report_peer));
	assert_true(f->endpoint.peers.names.n_pieces > N_PEERS / 1000);
	peers_free(&f->endpoint.peers);
}

static void a_reader_that_stopped_or_has_gone_costs_no_more_than_some_pieces(void **state)
{
	struct fixture *f = *state;
	int fds[4];

	make_peers(f);
	for (size_t i = 0; i < 4; i++) {
		fds[i] = connect_to(f);
		ask(fds[i]);
	}
	close(fds[3]);
	for (int i = 0; i < 20; i++)
		turn(f);
	assert_int_equal(f->n_answers, 4);
	assert_true(f->endpoint.peers.names.n_pieces <= 4 * PIECES_OF_SOCKET);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	turn(f);
	peers_free(&f->endpoint.peers);
}

static void an_order_is_told_how_far_it_is_and_the_last_time_ends_it(void **state)
{
	struct fixture *f = *state;
	struct disconnect_state told = {.version = REPORT_VERSION, .n_found = 2};
	int fd = connect_to(f);

	send_order(f, fd);
	control_socket_tell(f->control, f->order, &told);
	control_socket_tell(f->control, f->order + 1, &told);
	told.is_done = 1;
	control_socket_tell(f->control, f->order, &told);
	assert_int_equal(read_all(f, fd), 2 * sizeof told);
	assert_int_equal(f->n_answers, 0);
}

static void an_order_whose_connection_has_ended_is_told_nothing(void **state)
{
	struct fixture *f = *state;
	const struct disconnect_state told = {.version = REPORT_VERSION, .is_done = 1};
	int fd = connect_to(f);

	send_order(f, fd);
	close(fd);
	turn(f);
	control_socket_tell(f->control, f->order, &told);
	turn(f);
}

static void while_an_order_is_told_something_its_time_begins_anew(void **state)
{
	struct fixture *f = *state;
	uint64_t end = clock_now_ms(&system_clock) + 2 * DEADLINE_MS;
	struct disconnect_state told = {.version = REPORT_VERSION};
	int fd = connect_to(f);

	send_order(f, fd);
	while (clock_now_ms(&system_clock) < end) {
		control_socket_tell(f->control, f->order, &told);
		for (int i = 0; i < 100; i++)
			turn(f);
	}
	told.is_done = 1;
	control_socket_tell(f->control, f->order, &told);
	assert_true(read_all(f, fd) > sizeof told);
}

static void a_question_may_come_in_parts_and_nothing_is_said_before_it_is_whole(void **state)
{
	struct fixture *f = *state;
	const struct report_request request = {.version = REPORT_VERSION};
	int fd = connect_to(f);

	assert_int_equal(send(fd, &request, 1, 0), 1);
	turn(f);
	assert_int_equal(f->n_answers, 0);
	assert_int_equal(
		send(fd, (const char *)&request + 1, sizeof request - 1, 0), sizeof request - 1);
	assert_int_equal(read_all(f, fd), ANSWER_SIZE);
}

static void who_says_more_than_a_question_gets_no_second_answer(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	ask(fd);
	ask(fd);
	read_all(f, fd);
	assert_int_equal(f->n_answers, 1);
}

static void without_an_answer_the_connection_ends(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);

	f->result = -ENOMEM;
	ask(fd);
	assert_int_equal(read_all(f, fd), 0);
}

static void a_reader_that_stopped_does_not_hold_up_another(void **state)
{
	struct fixture *f = *state;
	int stopped = connect_to(f), reader;

	ask(stopped);
	turn(f);
	assert_int_equal(f->n_answers, 1);
	reader = connect_to(f);
	ask(reader);
	assert_int_equal(read_all(f, reader), ANSWER_SIZE);
	assert_true(read_all(f, stopped) > 0);
}

static void a_connection_that_is_not_done_in_time_is_ended(void **state)
{
	struct fixture *f = *state;
	int silent = connect_to(f), stopped = connect_to(f);
	uint64_t began = clock_now_ms(&system_clock);
	size_t length;

	ask(stopped);
	/* Ends by the server's deadline alone. */
	assert_int_equal(read_all(f, silent), 0);
	assert_true(clock_now_ms(&system_clock) - began >= DEADLINE_MS / 2);
	/* More than what lay in the socket was lost with the connection. */
	turn(f);
	length = read_all(f, stopped);
	assert_true(length > 0 && length < ANSWER_SIZE);
}

static void more_than_a_few_wait_until_others_are_done(void **state)
{
	struct fixture *f = *state;
	int silent[CONTROL_MAX_CONNECTIONS], late;

	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++)
		silent[i] = connect_to(f);
	turn(f);
	late = connect_to(f);
	ask(late);
	turn(f);
	assert_int_equal(f->n_answers, 0);
	assert_int_equal(read_all(f, late), ANSWER_SIZE);
	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++)
		close(silent[i]);
}

static void those_that_stand_still_make_room_for_who_waits_and_for_nobody_else(void **state)
{
	struct fixture *f = *state;
	int stopped[CONTROL_MAX_CONNECTIONS], late;

	for (size_t i = 0; i < CONTROL_MAX_CONNECTIONS; i++) {
		stopped[i] = connect_to(f);
		ask(stopped[i]);
	}
	late = connect_to(f);
	ask(late);
	assert_int_equal(read_all(f, late), ANSWER_SIZE);
	/* The first one, and it alone: it was not their time that was over. */
	assert_true(read_all(f, stopped[0]) < ANSWER_SIZE);
	for (size_t i = 1; i < CONTROL_MAX_CONNECTIONS; i++)
		assert_int_equal(read_all(f, stopped[i]), ANSWER_SIZE);
}

static void who_hangs_up_leaves_its_place_at_once(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 4 * CONTROL_MAX_CONNECTIONS; i++) {
		int fd = connect_to(f);

		ask(fd);
		if (i % 2)
			turn(f);
		close(fd);
		turn(f);
	}
	f->n_answers = 0;
	a_question_gets_one_answer_and_the_end_of_the_stream(state);
}

static void it_is_for_its_owner_alone(void **state)
{
	struct fixture *f = *state;
	struct stat status;

	assert_int_equal(stat(f->path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void what_a_killed_server_left_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct control_socket *killed = f->control;

	open_socket(f);
	a_question_gets_one_answer_and_the_end_of_the_stream(state);
	control_socket_close(killed);
	/* Its end took the file along. */
	assert_int_equal(access(f->path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_question_gets_one_answer_and_the_end_of_the_stream),
		TEST(peers_follow_the_answer_a_piece_at_a_time_as_they_are_read),
		TEST(a_reader_that_stopped_or_has_gone_costs_no_more_than_some_pieces),
		TEST(an_order_is_told_how_far_it_is_and_the_last_time_ends_it),
		TEST(an_order_whose_connection_has_ended_is_told_nothing),
		TEST(while_an_order_is_told_something_its_time_begins_anew),
		TEST(a_question_may_come_in_parts_and_nothing_is_said_before_it_is_whole),
		TEST(who_says_more_than_a_question_gets_no_second_answer),
		TEST(without_an_answer_the_connection_ends),
		TEST(a_reader_that_stopped_does_not_hold_up_another),
		TEST(a_connection_that_is_not_done_in_time_is_ended),
		TEST(more_than_a_few_wait_until_others_are_done),
		TEST(those_that_stand_still_make_room_for_who_waits_and_for_nobody_else),
		TEST(who_hangs_up_leaves_its_place_at_once),
		TEST(it_is_for_its_owner_alone),
		TEST(what_a_killed_server_left_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
