/* The gates are this program itself: what main() does with the argument "gate". */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "server/gate_supervisor.h"

enum {
	PATIENCE_S = 20,
	/* What a gate's first life does, as the password tells it; all others ask and wait. */
	HANG_UP = '1',
	TALK_NONSENSE,
	ASK,
};

static const char secret_name[] = "VPROX_TEST_SECRET";

struct fixture {
	struct event_base *base;
	struct gate_supervisor *supervisor;
	struct gate_settings settings;
	struct gate_endpoint endpoint;
	char password[2];
	int first_life; /* an eventfd that only one gate can read; handed on as its listener */
	struct ipc_request request;
	uint64_t generation; /* of the gate that sent the request */
	size_t n_requests, n_ready;
	bool drained;
};

/* Asks, with whether it sees the secret as the request's id, and waits for its end. */
static int ask_and_wait(void)
{
	struct ipc_request request = {.version = IPC_VERSION,
		.operation = IPC_RELINQUISH,
		.id = getenv(secret_name) != NULL};
	const struct ipc_request ready = {.version = IPC_VERSION, .operation = IPC_READY};
	struct pollfd broker = {.fd = GATE_FD_BROKER, .events = POLLIN};
	struct ipc_reply reply;

	if (ipc_send_request(GATE_FD_BROKER, &ready) < 0 ||
		ipc_send_request(GATE_FD_BROKER, &request) < 0)
		return EXIT_FAILURE;
	while (poll(&broker, 1, PATIENCE_S * 1000) == 1) {
		int error = ipc_receive_reply(GATE_FD_BROKER, &reply);

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

	if (gate_config_read(GATE_FD_CONFIG, &settings) < 0)
		return EXIT_FAILURE;
	behaviour = settings.password[0];
	gate_settings_free(&settings);
	if (read(GATE_FD_FIRST_LISTENER, &ticket, sizeof ticket) < 0)
		behaviour = ASK;
	if (behaviour == HANG_UP)
		close(GATE_FD_BROKER);
	else if (behaviour == TALK_NONSENSE)
		send(GATE_FD_BROKER, "nonsense", 8, 0);
	else
		return ask_and_wait();
	sleep(PATIENCE_S);
	return EXIT_SUCCESS;
}

static void note_request(
	void *context, const struct ipc_request *request, const struct reply_to *reply_to)
{
	struct fixture *f = context;

	f->request = *request;
	f->generation = reply_to->generation;
	f->n_requests++;
	gate_supervisor_answer(f->supervisor, reply_to, IPC_OK, (struct ipv4){0});
	event_base_loopbreak(f->base);
}

static void record_ready(void *context)
{
	struct fixture *f = context;

	f->n_ready++;
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
		.n_gates = 1,
		.settings = &f->settings,
		.listeners = &f->first_life,
		.on_request = note_request,
		.on_ready = record_ready,
		.on_drained = note_drained,
		.context = f,
	};

	f->password[0] = behaviour;
	f->settings = (struct gate_settings){
		.config = {.version = GATE_CONFIG_VERSION, .n_endpoints = 1, .password_length = 1},
		.endpoints = &f->endpoint,
		.password = f->password,
	};
	assert_int_equal(gate_supervisor_new(f->base, &config, &f->supervisor), 0);
}

static int setup(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	alarm(PATIENCE_S);
	f = (struct fixture){.base = event_base_new(), .first_life = eventfd(1, EFD_NONBLOCK)};
	*state = &f;
	return f.base && f.first_life >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gate_supervisor_free(f->supervisor);
	event_base_free(f->base);
	close(f->first_life);
	return 0;
}

static void a_gate_that_hangs_up_and_lives_on_is_replaced(void **state)
{
	struct fixture *f = *state;

	start(f, HANG_UP);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->generation, 2);
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
	assert_int_equal(f->request.id, 0);
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
	gate_supervisor_drain(f->supervisor);
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
		RULE(the_environment_is_not_handed_on_to_a_gate),
		RULE(readiness_is_told_when_the_gate_says_so),
		RULE(draining_ends_when_all_gates_have_ended),
	};

	if (argc > 1 && strcmp(argv[1], "gate") == 0)
		return be_gate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
