#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gate/broker_link.h"

enum {
	MANY = 1000, /* requests, more than a socket holds answers to */
	MOST_AT_ONCE = 200,
};

struct fixture {
	struct event_base *base;
	struct broker_link *link;
	int broker; /* its end of the socket */
	int lost; /* the error, 0 if it is not lost */
	unsigned int drains, hand_overs;
	int signer; /* the socket to it; -1: there was none */
	struct gate_endpoint endpoint; /* the last one to be served */
	int listener;
	struct ipv4 gone; /* the last one that is not */
	struct fair_lane lane, other_lane; /* of two sources */
};

struct asker {
	struct broker_call call;
	unsigned int answers;
	struct ipc_reply reply;
};

static void on_drain(void *context, bool hand_over)
{
	((struct fixture *)context)->drains++;
	((struct fixture *)context)->hand_overs += hand_over;
}

static void on_signer(void *context, int fd)
{
	((struct fixture *)context)->signer = fd;
}

static void on_endpoint(void *context, const struct gate_endpoint *endpoint, int fd)
{
	struct fixture *fixture = context;

	fixture->endpoint = *endpoint;
	fixture->listener = fd;
}

static void on_endpoint_gone(void *context, struct ipv4 bind)
{
	((struct fixture *)context)->gone = bind;
}

static void on_lost(void *context, int error)
{
	((struct fixture *)context)->lost = error;
}

static void on_answer(struct broker_call *call, const struct ipc_reply *reply)
{
	struct asker *asker = (struct asker *)call;

	asker->answers++;
	asker->reply = *reply;
}

static void on_live_settings(void *context, const struct live_settings *live)
{
	(void)context;
	(void)live;
}

static void on_tokens(void *context, int fd)
{
	(void)context;
	close(fd);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	int ends[2];

	assert_non_null(fixture);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	fixture->broker = ends[1];
	fixture->base = event_base_new();
	event_base_priority_init(fixture->base, 2);
	fair_lane_init(&fixture->lane);
	fair_lane_init(&fixture->other_lane);
	fixture->link = broker_link_new(fixture->base, ends[0], IPC_OUTSTANDING_MAX,
		&(struct broker_events){on_drain, on_signer, on_endpoint, on_endpoint_gone,
			on_live_settings, on_tokens, on_lost, fixture});
	assert_non_null(fixture->link);
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	broker_link_free(fixture->link);
	event_base_free(fixture->base);
	if (fixture->broker >= 0)
		close(fixture->broker);
	free(fixture);
	return 0;
}

static void ask(struct fixture *fixture, struct asker *asker)
{
	*asker = (struct asker){
		.call = {.request = {.version = IPC_VERSION, .operation = IPC_CONNECT_IPIP},
			.client = STDERR_FILENO,
			.lane = &fixture->lane,
			.answered = on_answer}};
	broker_link_ask(fixture->link, &asker->call);
}

static void ask_from_another_source(struct fixture *fixture, struct asker *asker)
{
	*asker = (struct asker){
		.call = {.request = {.version = IPC_VERSION, .operation = IPC_RELINQUISH},
			.client = STDERR_FILENO,
			.lane = &fixture->other_lane,
			.answered = on_answer}};
	broker_link_ask(fixture->link, &asker->call);
}

static void answer(struct fixture *fixture, uint64_t id)
{
	struct ipc_reply reply = {
		.version = IPC_VERSION, .kind = IPC_ANSWER, .status = IPC_OK, .id = id};

	assert_int_equal(ipc_send_reply(fixture->broker, &reply, -1), 0);
}

static int receive(struct fixture *fixture, struct ipc_request *request)
{
	int client, error = ipc_receive_request(fixture->broker, request, &client);

	if (error == 0)
		close(client);
	return error;
}

static void spin(struct fixture *fixture)
{
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

static void answers_find_who_asked_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct ipc_request first, second;
	struct asker a, b;

	ask(fixture, &a);
	ask(fixture, &b);
	assert_int_equal(receive(fixture, &first), 0);
	assert_int_equal(receive(fixture, &second), 0);
	assert_int_not_equal(first.id, second.id);
	answer(fixture, second.id);
	spin(fixture);
	assert_int_equal(a.answers, 0);
	assert_int_equal(b.answers, 1);
	answer(fixture, first.id);
	spin(fixture);
	assert_int_equal(a.answers, 1);
}

static void an_answer_that_nobody_waits_for_is_ignored(void **state)
{
	struct fixture *fixture = *state;
	struct asker a, b;

	ask(fixture, &a);
	ask(fixture, &b);
	broker_link_forget(fixture->link, &a.call);
	answer(fixture, a.call.request.id); /* gone in the meantime */
	answer(fixture, 4711); /* never asked */
	answer(fixture, b.call.request.id);
	answer(fixture, b.call.request.id); /* twice */
	spin(fixture);
	assert_int_equal(a.answers, 0);
	assert_int_equal(b.answers, 1);
	assert_int_equal(fixture->lost, 0);
}

/* Takes what the broker has been sent. Returns how many; their ids are ascending and above *last.
 */
static int receive_all(struct fixture *fixture, uint64_t *last)
{
	struct ipc_request request;
	int n = 0;

	while (receive(fixture, &request) == 0) {
		assert_true(request.id > *last);
		*last = request.id;
		n++;
	}
	return n;
}

static void the_broker_is_never_asked_more_than_it_can_answer_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct asker *askers = calloc(MANY, sizeof *askers);
	uint64_t last = 0, answered = 0;
	int n = 0;

	assert_non_null(askers);
	for (int i = 0; i < MANY; i++)
		ask(fixture, &askers[i]);
	for (int got; (got = receive_all(fixture, &last)) > 0; n += got) {
		assert_in_range(got, 1, MOST_AT_ONCE);
		spin(fixture);
		assert_int_equal(receive_all(fixture, &last), 0);
		while (answered < last)
			answer(fixture, ++answered); /* fails where the socket is full */
		while (askers[last - 1].answers == 0)
			spin(fixture);
	}
	assert_int_equal(n, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(askers[i].answers, 1);
	assert_int_equal(fixture->lost, 0);
	free(askers);
}

static void a_request_that_is_forgotten_before_it_is_sent_is_not_sent(void **state)
{
	struct fixture *fixture = *state;
	struct asker *askers = calloc(MANY, sizeof *askers);
	uint64_t last = 0;
	int sent;

	assert_non_null(askers);
	for (int i = 0; i < MANY; i++)
		ask(fixture, &askers[i]);
	sent = receive_all(fixture, &last);
	for (int i = 0; i < MANY - 1; i++)
		broker_link_forget(fixture->link, &askers[i].call);
	/* Those that have been sent are answered all the same, and only then there is room. */
	for (int i = 0; i < sent; i++)
		answer(fixture, (uint64_t)i + 1);
	spin(fixture);
	spin(fixture);
	assert_int_equal(receive_all(fixture, &last), 1);
	assert_int_equal(last, MANY);
	broker_link_forget(fixture->link, &askers[MANY - 1].call);
	free(askers);
}

static void a_drain_is_passed_on(void **state)
{
	struct fixture *fixture = *state;
	struct ipc_reply reply = {.version = IPC_VERSION, .kind = IPC_DRAIN};

	assert_int_equal(ipc_send_reply(fixture->broker, &reply, -1), 0);
	spin(fixture);
	assert_int_equal(fixture->drains, 1);
}

static void a_packet_that_does_not_decode_ends_it(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(send(fixture->broker, "nonsense", 8, 0), 8);
	spin(fixture);
	assert_int_equal(fixture->lost, -EPROTO);
}

static void the_end_of_the_broker_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->broker);
	fixture->broker = -1;
	spin(fixture);
	assert_int_equal(fixture->lost, -EPIPE);
}

static void a_request_to_a_broker_that_is_gone_is_no_crash(void **state)
{
	struct fixture *fixture = *state;
	struct asker a;

	close(fixture->broker);
	fixture->broker = -1;
	ask(fixture, &a);
	assert_int_equal(fixture->lost, -EPIPE);
	broker_link_forget(fixture->link, &a.call);
	spin(fixture);
}

static void a_signers_socket_is_passed_on(void **state)
{
	struct fixture *fixture = *state;
	const struct ipc_reply reply = {.version = IPC_VERSION, .kind = IPC_SIGNER};

	fixture->signer = -1;
	assert_int_equal(ipc_send_reply(fixture->broker, &reply, STDIN_FILENO), 0);
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	assert_true(fixture->signer > STDERR_FILENO);
	close(fixture->signer);
	assert_int_equal(fixture->lost, 0);
}

static void who_asks_from_another_source_is_next_however_many_wait(void **state)
{
	struct fixture *fixture = *state;
	static struct asker many[MANY];
	struct asker other;
	struct ipc_request request;
	uint64_t last = 0;

	for (int i = 0; i < MANY; i++)
		ask(fixture, &many[i]);
	assert_int_equal(receive_all(fixture, &last), IPC_OUTSTANDING_MAX);
	ask_from_another_source(fixture, &other);
	answer(fixture, many[0].call.request.id);
	answer(fixture, many[1].call.request.id);
	spin(fixture);
	assert_int_equal(receive(fixture, &request), 0);
	assert_int_equal(request.operation, IPC_CONNECT_IPIP);
	assert_int_equal(receive(fixture, &request), 0);
	assert_int_equal(request.operation, IPC_RELINQUISH);
	for (int i = 2; i < MANY; i++)
		broker_link_forget(fixture->link, &many[i].call);
	broker_link_forget(fixture->link, &other.call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_signers_socket_is_passed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			answers_find_who_asked_in_any_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_answer_that_nobody_waits_for_is_ignored, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_broker_is_never_asked_more_than_it_can_answer_at_once, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_request_that_is_forgotten_before_it_is_sent_is_not_sent, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			who_asks_from_another_source_is_next_however_many_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_drain_is_passed_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_packet_that_does_not_decode_ends_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_end_of_the_broker_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_request_to_a_broker_that_is_gone_is_no_crash, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
