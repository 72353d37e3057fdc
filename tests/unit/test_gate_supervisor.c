/* The gates are this program itself: what main() does with the argument "gate". */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "server/gate_supervisor.h"

enum {
	TIMEOUT_S = 20,
	/* What a gate's first life does, as its password's digest tells it; all others ask and
	   wait. */
	HANG_UP = '1',
	TALK_NONSENSE,
	ASK_FOR_NOBODY,
	ASK_TWICE_FOR_ONE,
	ASK,

	LISTENER = 1, /* the endpoint that clients come to; the other one has the ticket */
	N_ENDPOINTS,
};

static const char secret_name[] = "VPROX_TEST_SECRET";

struct fixture {
	struct event_base *base;
	struct gate_supervisor *supervisor;
	struct gate_settings settings;
	struct gate_endpoint endpoints[N_ENDPOINTS];
	int listeners[N_ENDPOINTS]; /* the first is an eventfd that only one gate can read */
	struct sockaddr_in address; /* of the second */
	struct client_request request;
	struct reply_to reply_to;
	uint64_t generation; /* of the gate that sent the request */
	uint64_t ended_generation; /* of the last gate that was said to have ended */
	size_t n_requests, n_ready, n_restarts;
	bool drained;
};

/* Returns what it has accepted of a client that it is itself; that one's end stays open. */
static int accept_client(void)
{
	struct sockaddr_in address;
	socklen_t length = sizeof address;
	int listener = GATE_FD_FIRST_LISTENER + LISTENER, client = socket(AF_INET, SOCK_STREAM, 0);

	if (getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
		connect(client, (struct sockaddr *)&address, length) < 0)
		return -1;
	return accept(listener, NULL, NULL);
}

/* Two requests, of which the second is against the rules, and no end. */
static int break_the_rules(int first, int second)
{
	const struct ipc_request request = {.version = IPC_VERSION, .operation = IPC_RELINQUISH};

	if ((first >= 0 && ipc_send_request(GATE_FD_BROKER, &request, first) < 0) ||
		ipc_send_request(GATE_FD_BROKER, &request, second) < 0)
		return EXIT_FAILURE;
	sleep(TIMEOUT_S);
	return EXIT_SUCCESS;
}

/* Asks, with whether it sees the secret as the request's id, and waits for its end. */
static int ask_and_wait(void)
{
	struct ipc_request request = {.version = IPC_VERSION,
		.operation = IPC_RELINQUISH,
		.id = getenv(secret_name) != NULL};
	const struct ipc_request ready = {.version = IPC_VERSION, .operation = IPC_READY};
	struct pollfd broker = {.fd = GATE_FD_BROKER, .events = POLLIN};
	struct ipc_reply reply;
	int descriptor;

	if (ipc_send_request(GATE_FD_BROKER, &ready, -1) < 0 ||
		ipc_send_request(GATE_FD_BROKER, &request, accept_client()) < 0)
		return EXIT_FAILURE;
	while (poll(&broker, 1, TIMEOUT_S * 1000) == 1) {
		int error = ipc_receive_reply(GATE_FD_BROKER, &reply, &descriptor);

		if (error < 0)
			return EXIT_FAILURE;
		if (reply.kind == IPC_DRAIN)
			return EXIT_SUCCESS;
	}
	return EXIT_FAILURE;
}

static int be_gate(void)
{
	struct gate_settings settings;
	uint64_t ticket;
	char behaviour;
	int client;

	if (gate_config_read(GATE_FD_CONFIG, &settings) < 0)
		return EXIT_FAILURE;
	behaviour = (char)settings.config.live.bearer.digests[0][0];
	gate_settings_free(&settings);
	if (read(GATE_FD_FIRST_LISTENER, &ticket, sizeof ticket) < 0)
		behaviour = ASK;
	if (behaviour == HANG_UP)
		close(GATE_FD_BROKER);
	else if (behaviour == TALK_NONSENSE)
		send(GATE_FD_BROKER, "nonsense", 8, 0);
	else if (behaviour == ASK_FOR_NOBODY)
		return break_the_rules(-1, GATE_FD_FIRST_LISTENER + LISTENER);
	else if (behaviour == ASK_TWICE_FOR_ONE)
		return client = accept_client(), break_the_rules(client, client);
	else
		return ask_and_wait();
	sleep(TIMEOUT_S);
	return EXIT_SUCCESS;
}

static bool is_ours(void *context, struct ipv4 bind)
{
	const struct fixture *f = context;

	return ipv4_equal(bind, f->endpoints[LISTENER].bind);
}

static void note_request(
	void *context, const struct client_request *request, const struct reply_to *reply_to)
{
	struct fixture *f = context;

	f->request = *request;
	f->reply_to = *reply_to;
	f->generation = reply_to->generation;
	f->n_requests++;
	gate_supervisor_answer(f->supervisor, reply_to, IPC_OK, (struct ipv4){0});
	event_base_loopbreak(f->base);
}

static void note_started(void *context, unsigned int number)
{
	struct fixture *f = context;

	assert_int_equal(number, 0);
	f->n_restarts++;
}

static void record_ready(void *context)
{
	struct fixture *f = context;

	f->n_ready++;
}

static void note_ended(void *context, unsigned int gate, uint64_t generation)
{
	struct fixture *f = context;

	(void)gate;
	f->ended_generation = generation;
}

static void note_drained(void *context)
{
	struct fixture *f = context;

	f->drained = true;
	event_base_loopbreak(f->base);
}

static void start(struct fixture *f, char behaviour)
{
	const struct gate_supervisor_config config = {
		.tokens = -1,
		.n_gates = 1,
		.settings = &f->settings,
		.listeners = f->listeners,
		.port = ntohs(f->address.sin_port),
		.is_ours = is_ours,
		.on_request = note_request,
		.on_gate_ended = note_ended,
		.on_started = note_started,
		.on_ready = record_ready,
		.on_drained = note_drained,
		.context = f,
	};

	f->settings = (struct gate_settings){
		.config = {.version = GATE_CONFIG_VERSION,
			.n_endpoints = N_ENDPOINTS,
			.max_endpoints = N_ENDPOINTS,
			.n_gates = 1,
			.live.bearer.digests = {{(uint8_t)behaviour}}},
		.endpoints = f->endpoints,
	};
	assert_int_equal(gate_supervisor_new(f->base, &config, &f->supervisor), 0);
}

static bool listen_on_loopback(struct fixture *f)
{
	socklen_t length = sizeof f->address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	f->address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	f->endpoints[LISTENER].bind = ipv4_from_net(f->address.sin_addr.s_addr);
	f->listeners[LISTENER] = fd;
	return fd >= 0 && bind(fd, (struct sockaddr *)&f->address, length) == 0 &&
	       listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&f->address, &length) == 0;
}

static int setup(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	alarm(TIMEOUT_S);
	f = (struct fixture){.base = event_base_new(), .listeners = {eventfd(1, EFD_NONBLOCK)}};
	*state = &f;
	return f.base && f.listeners[0] >= 0 && listen_on_loopback(&f) ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gate_supervisor_free(f->supervisor);
	event_base_free(f->base);
	for (size_t i = 0; i < N_ENDPOINTS; i++)
		close(f->listeners[i]);
	return 0;
}

static void a_gate_that_hangs_up_and_lives_on_is_replaced(void **state)
{
	struct fixture *f = *state;

	start(f, HANG_UP);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->generation, 2);
	assert_int_equal(f->n_restarts, 1); /* each with a need for a signer */
}

static void a_gate_that_sends_what_is_no_request_is_replaced(void **state)
{
	struct fixture *f = *state;

	start(f, TALK_NONSENSE);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->generation, 2);
}

static void the_environment_is_not_handed_on_to_a_gate(void **state)
{
	struct fixture *f = *state;

	setenv(secret_name, "1", 1);
	start(f, ASK);
	unsetenv(secret_name);
	event_base_dispatch(f->base);
	assert_int_equal(f->reply_to.id, 0);
}

static void who_a_client_is_and_where_it_came_to_is_read_from_its_socket(void **state)
{
	struct fixture *f = *state;

	start(f, ASK);
	event_base_dispatch(f->base);
	assert_int_equal(f->request.operation, IPC_RELINQUISH);
	assert_int_equal(f->request.bind.value, INADDR_LOOPBACK);
	assert_int_equal(f->request.source.value, INADDR_LOOPBACK);
}

static void a_gate_that_asks_for_somebody_who_is_not_its_client_is_replaced(void **state)
{
	struct fixture *f = *state;

	start(f, ASK_FOR_NOBODY);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->generation, 2);
}

static void a_gate_that_asks_twice_with_one_socket_is_replaced(void **state)
{
	struct fixture *f = *state;

	start(f, ASK_TWICE_FOR_ONE);
	event_base_dispatch(f->base);
	assert_int_equal(f->generation, 1);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(f->generation, 2);
}

static void the_end_of_a_gate_is_told(void **state)
{
	struct fixture *f = *state;

	start(f, HANG_UP);
	event_base_dispatch(f->base);
	assert_int_equal(f->generation, 2);
	assert_int_equal(f->ended_generation, 1);
}

static void readiness_is_told_when_the_gate_says_so(void **state)
{
	struct fixture *f = *state;

	start(f, HANG_UP);
	assert_int_equal(f->n_ready, 0);
	event_base_dispatch(f->base);
	assert_int_equal(f->generation, 2);
	assert_int_equal(f->n_ready, 1);
}

static void draining_ends_when_all_gates_have_ended(void **state)
{
	struct fixture *f = *state;

	start(f, ASK);
	event_base_dispatch(f->base);
	gate_supervisor_drain(f->supervisor, false);
	event_base_dispatch(f->base);
	assert_true(f->drained);
	assert_int_equal(f->n_requests, 1);
}

int main(int argc, char **argv)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(a_gate_that_hangs_up_and_lives_on_is_replaced),
		RULE(a_gate_that_sends_what_is_no_request_is_replaced),
		RULE(who_a_client_is_and_where_it_came_to_is_read_from_its_socket),
		RULE(a_gate_that_asks_for_somebody_who_is_not_its_client_is_replaced),
		RULE(a_gate_that_asks_twice_with_one_socket_is_replaced),
		RULE(the_environment_is_not_handed_on_to_a_gate),
		RULE(the_end_of_a_gate_is_told),
		RULE(readiness_is_told_when_the_gate_says_so),
		RULE(draining_ends_when_all_gates_have_ended),
	};

	if (argc > 1 && strcmp(argv[1], "gate") == 0)
		return be_gate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
