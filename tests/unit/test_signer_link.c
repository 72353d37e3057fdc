/* Stands for the library and its handshakes: each is a job that asks for a signature. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/async.h>

#include "base/log.h"
#include "gate/signer_link.h"

enum {
	JOBS = 8, /* of the link */
	MANY = 20,
};

struct fixture {
	struct event_base *base;
	struct signer_link *link;
	int signer; /* its end of the socket */
	unsigned int n_connected, n_lost;
};

struct handshake {
	struct signer_waiter waiter;
	struct fixture *fixture;
	ASYNC_JOB *job;
	ASYNC_WAIT_CTX *context;
	int result; /* of the request; 1: there is none yet */
	uint8_t signature;
};

static void on_connected(void *context)
{
	((struct fixture *)context)->n_connected++;
}

static void on_lost(void *context, int error)
{
	assert_true(error < 0);
	((struct fixture *)context)->n_lost++;
}

static void connect_signer(struct fixture *fixture)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	fixture->signer = ends[1];
	assert_int_equal(signer_link_connect(fixture->link, ends[0]), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->base = event_base_new();
	event_base_priority_init(fixture->base, 2);
	fixture->link = signer_link_new(
		fixture->base, &(struct signer_events){on_connected, on_lost, fixture});
	assert_non_null(fixture->link);
	fixture->signer = -1;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	signer_link_free(fixture->link);
	event_base_free(fixture->base);
	if (fixture->signer >= 0)
		close(fixture->signer);
	free(fixture);
	return 0;
}

static int run_job(void *arguments)
{
	struct handshake *handshake = *(struct handshake **)arguments;
	struct signing_request request = {.version = SIGNING_VERSION,
		.digest = SIGNING_SHA256,
		.padding = SIGNING_NO_PADDING};
	uint8_t signature[SIGNATURE_MAX];
	size_t length;

	handshake->result =
		signer_link_sign(handshake->fixture->link, &request, signature, &length);
	handshake->signature = signature[0];
	return 1;
}

/* As SSL_do_handshake() does it, and who calls it. */
static void go_on(struct signer_waiter *waiter)
{
	struct handshake *handshake = (struct handshake *)waiter;
	int result;

	signer_link_enter(handshake->fixture->link, waiter);
	if (ASYNC_start_job(&handshake->job, handshake->context, &result, run_job, &handshake,
		    sizeof handshake) == ASYNC_NO_JOBS)
		signer_link_wait_for_job(handshake->fixture->link, waiter);
}

static void begin(struct fixture *fixture, struct handshake *handshake)
{
	*handshake = (struct handshake){.waiter = {.resume = go_on},
		.fixture = fixture,
		.context = ASYNC_WAIT_CTX_new(),
		.result = 1};
	go_on(&handshake->waiter);
}

static void end(struct handshake *handshake)
{
	ASYNC_WAIT_CTX_free(handshake->context);
}

static void run(struct fixture *fixture)
{
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

/* What the signer reads; false if there is nothing. */
static bool is_asked(struct fixture *fixture, struct signing_request *request)
{
	return signing_receive_request(fixture->signer, request) == 0;
}

static void answer(struct fixture *fixture, uint64_t id, uint8_t signature)
{
	const struct signing_reply reply = {.version = SIGNING_VERSION,
		.status = signature ? SIGNING_OK : SIGNING_REFUSED,
		.length = signature ? 1 : 0,
		.id = id,
		.signature = {signature}};

	assert_int_equal(signing_send_reply(fixture->signer, &reply), 0);
}

static void signatures_find_their_handshakes_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct handshake first, second;
	struct signing_request requests[2];

	connect_signer(fixture);
	assert_int_equal(fixture->n_connected, 1);
	begin(fixture, &first);
	begin(fixture, &second);
	assert_true(is_asked(fixture, &requests[0]) && is_asked(fixture, &requests[1]));
	answer(fixture, requests[1].id, 2);
	run(fixture);
	assert_int_equal(first.result, 1);
	assert_true(signer_link_is_waiting(&first.waiter));
	assert_int_equal(second.result, 0);
	assert_int_equal(second.signature, 2);
	answer(fixture, requests[0].id, 0);
	run(fixture);
	assert_int_equal(first.result, -EKEYREJECTED);
	end(&first);
	end(&second);
}

static void what_was_asked_of_a_signer_that_died_is_asked_of_the_next_one(void **state)
{
	struct fixture *fixture = *state;
	struct handshake handshake;
	struct signing_request request;

	connect_signer(fixture);
	begin(fixture, &handshake);
	assert_true(is_asked(fixture, &request));
	close(fixture->signer);
	run(fixture);
	assert_int_equal(fixture->n_lost, 1);
	assert_int_equal(handshake.result, 1);
	connect_signer(fixture);
	assert_true(is_asked(fixture, &request));
	answer(fixture, request.id, 3);
	run(fixture);
	assert_int_equal(handshake.result, 0);
	assert_int_equal(handshake.signature, 3);
	end(&handshake);
}

static void no_more_than_a_few_are_asked_at_a_time_and_all_in_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct handshake handshakes[MANY];
	struct signing_request request;
	unsigned int n_asked = 0, most = 0;

	connect_signer(fixture);
	for (size_t i = 0; i < MANY; i++)
		begin(fixture, &handshakes[i]);
	for (unsigned int n; n_asked < MANY; n_asked += n) {
		uint64_t ids[MANY];

		for (n = 0; is_asked(fixture, &request); n++)
			ids[n] = request.id;
		assert_true(n > 0);
		most = n > most ? n : most;
		for (unsigned int i = 0; i < n; i++)
			answer(fixture, ids[i], 1);
		run(fixture);
	}
	assert_int_equal(most, JOBS);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(handshakes[i].result, 0);
		end(&handshakes[i]);
	}
}

static void those_that_are_cancelled_fail_and_make_room(void **state)
{
	struct fixture *fixture = *state;
	struct handshake handshakes[MANY];
	struct signing_request request;

	connect_signer(fixture);
	for (size_t i = 0; i < MANY; i++)
		begin(fixture, &handshakes[i]);
	while (is_asked(fixture, &request))
		;
	for (size_t i = 0; i < MANY - 1; i++) {
		if (signer_link_cancel(fixture->link, &handshakes[i].waiter))
			go_on(&handshakes[i].waiter);
		assert_false(signer_link_is_waiting(&handshakes[i].waiter));
		assert_int_equal(handshakes[i].result, i < JOBS ? -ECANCELED : 1);
	}
	run(fixture);
	assert_true(is_asked(fixture, &request)); /* the last one */
	answer(fixture, request.id, 4);
	answer(fixture, 1, 5); /* late, of one that is gone */
	run(fixture);
	assert_int_equal(handshakes[MANY - 1].result, 0);
	for (size_t i = 0; i < MANY; i++)
		end(&handshakes[i]);
}

static void a_signer_that_makes_no_sense_is_hung_up_on(void **state)
{
	struct fixture *fixture = *state;
	char byte;

	connect_signer(fixture);
	assert_int_equal(send(fixture->signer, "nonsense", 8, 0), 8);
	run(fixture);
	assert_int_equal(fixture->n_lost, 1);
	assert_int_equal(recv(fixture->signer, &byte, 1, 0), 0);
}

static void outside_of_a_handshake_nothing_is_signed(void **state)
{
	struct fixture *fixture = *state;
	struct signing_request request = {0};
	uint8_t signature[SIGNATURE_MAX];
	size_t length;

	connect_signer(fixture);
	assert_int_equal(signer_link_sign(fixture->link, &request, signature, &length), -EINVAL);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		RULE(signatures_find_their_handshakes_in_any_order),
		RULE(what_was_asked_of_a_signer_that_died_is_asked_of_the_next_one),
		RULE(no_more_than_a_few_are_asked_at_a_time_and_all_in_the_end),
		RULE(those_that_are_cancelled_fail_and_make_room),
		RULE(a_signer_that_makes_no_sense_is_hung_up_on),
		RULE(outside_of_a_handshake_nothing_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
