#include "test.h"

#include <errno.h>

#include <event2/event.h>

#include "base/log.h"
#include "fake_plane.h"
#include "server/adoption.h"
#include "server/endpoint.h"
#include "server/owed.h"
#include "server/removals.h"
#include "server/requests.h"

enum {
	N = 45,
	AT_ONCE = 10,
	FIRST = 0x0a000002, /* inner address */
	SLOW_MS = 15, /* longer than a turn may take */
};

static uint64_t now_ms(const struct clock *clock)
{
	(void)clock;
	return 1000 * 1000;
}

static const struct clock still = {now_ms};

struct fixture {
	struct fake_plane fake;
	struct event_base *base;
	struct endpoint endpoint;
	size_t n_answers;
	enum ipc_status status;
};

static void note_answer(
	void *context, const struct reply_to *to, enum ipc_status status, struct ipv4 address)
{
	struct fixture *f = context;

	(void)to;
	(void)address;
	f->n_answers++;
	f->status = status;
}

/* In no order of activity. */
static uint32_t activity_of(uint32_t i)
{
	return 1000 + i * 31 % N;
}

static struct plane_peer identity(uint32_t i)
{
	return (struct plane_peer){
		.kind = PEER_WIREGUARD, .inner = {FIRST + i}, .key = {{(uint8_t)i, 1}}};
}

static struct peer *owe(struct fixture *f, uint32_t i)
{
	const struct plane_peer id = identity(i);
	struct peer *peer = peers_add(&f->endpoint.peers, &id, 0);

	assert_non_null(peer);
	assert_int_equal(pool_claim(f->endpoint.pool, id.inner), 0);
	peers_set_owed(&f->endpoint.peers, peer, true);
	peer->promise.is_made = true;
	peer->promise.active_s = activity_of(i);
	peer->usage.outer_port = 40000;
	return peer;
}

static int set_up(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	f = (struct fixture){.base = event_base_new()};
	fake_plane_init(&f.fake);
	f.endpoint = (struct endpoint){
		.config = {.bind = {0xcb007101}},
		.public_key = {{0xff, 1}},
		.plane = &f.fake.plane,
		.clock = &still,
		.answer = note_answer,
		.answer_context = &f,
	};
	prefix_parse("10.0.0.0/24", &f.endpoint.config.block);
	f.endpoint.config.gateway = pool_gateway(f.endpoint.config.block);
	assert_int_equal(endpoint_open(&f.endpoint, f.base), 0);
	for (uint32_t i = 0; i < N; i++)
		owe(&f, i);
	f.fake.add_ms = SLOW_MS;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	endpoint_close(&f->endpoint, false);
	event_base_free(f->base);
	return 0;
}

/* To the next ones that are made: a machine that stood still has not looked for all yet. */
static void turn(struct fixture *f)
{
	const size_t n_before = f->fake.n_peers;

	for (int i = 0; i < 1000 && f->fake.n_peers == n_before; i++)
		event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void ask(struct fixture *f, uint32_t i)
{
	const struct reply_to reply_to = {0};
	const struct client_request request = {
		.operation = IPC_CONNECT_WIREGUARD, .source = {0xc0000201}, .key = identity(i).key};

	endpoint_handle(&f->endpoint, &request, &reply_to);
}

static bool is_made(const struct fixture *f, uint32_t i)
{
	for (size_t j = 0; j < f->fake.n_peers; j++)
		if (f->fake.peers[j].inner.value == FIRST + i)
			return true;
	return false;
}

static void a_few_are_made_at_a_time_those_active_last_first(void **state)
{
	struct fixture *f = *state;

	owed_make(&f->endpoint);
	assert_int_equal(f->fake.n_peers, 0);
	for (size_t n = AT_ONCE; n < N; n += AT_ONCE) {
		turn(f);
		assert_int_equal(f->fake.n_peers, n);
		assert_int_equal(f->endpoint.peers.n_owed, N - n);
		for (uint32_t i = 0; i < N; i++)
			assert_int_equal(is_made(f, i), activity_of(i) >= 1000 + N - n);
	}
	turn(f);
	assert_int_equal(f->fake.n_peers, N);
	assert_int_equal(f->endpoint.peers.n_owed, 0);
	/* Each shakes hands with its batch, and does not wait for the others. */
	assert_int_equal(f->fake.n_restored, N);
	for (size_t i = 0; i < N; i++)
		assert_in_range(f->fake.n_peers_at_restore[i], i + 1, i + AT_ONCE);
}

static void a_request_does_not_wait_for_those_that_are_before_it(void **state)
{
	struct fixture *f = *state;
	uint32_t last = 0;

	for (uint32_t i = 0; i < N; i++)
		if (activity_of(i) < activity_of(last))
			last = i;
	owed_make(&f->endpoint);
	turn(f);
	assert_false(is_made(f, last));
	ask(f, last);
	assert_int_equal(f->n_answers, 1);
	assert_int_equal(f->status, IPC_OK);
	assert_true(is_made(f, last));
	assert_int_equal(f->fake.n_peers, AT_ONCE + 1);
	/* And is not made again. */
	for (size_t i = 0; i < N / AT_ONCE; i++)
		turn(f);
	assert_int_equal(f->fake.n_peers, N);
	assert_int_equal(f->fake.n_restored, N - 1);
}

static void one_that_has_gone_or_is_to_go_is_not_made(void **state)
{
	struct fixture *f = *state;
	const struct plane_peer gone = identity(1), going = identity(2);
	struct removals never; /* nobody works it off */

	owed_make(&f->endpoint);
	pool_release(f->endpoint.pool, gone.inner);
	peers_remove(&f->endpoint.peers, peers_find(&f->endpoint.peers, &gone));
	removals_init(&never, &f->endpoint, NULL);
	removals_add(&never, peers_find(&f->endpoint.peers, &going), &removal_unmade, NULL);
	for (size_t i = 0; i <= N / AT_ONCE; i++)
		turn(f);
	assert_int_equal(f->fake.n_peers, N - 2);
	assert_false(is_made(f, 1) || is_made(f, 2));
	removals_free(&never);
}

static void what_a_device_does_not_answer_in_time_is_tried_again_and_given_up_by_nobody(
	void **state)
{
	struct fixture *f = *state;

	f->fake.add_error = -ETIMEDOUT;
	owed_make(&f->endpoint);
	turn(f);
	assert_int_equal(f->endpoint.peers.n_owed, N);
	assert_true(evtimer_pending(f->endpoint.owed.timer, NULL));
	f->fake.add_error = 0;
	/* Its time has come. */
	event_active(f->endpoint.owed.timer, EV_TIMEOUT, 0);
	for (size_t i = 0; i <= N / AT_ONCE; i++)
		turn(f);
	assert_int_equal(f->fake.n_peers, N);
	assert_int_equal(f->endpoint.peers.n_owed, 0);
}

static void what_is_refused_is_given_up_and_keeps_no_other_waiting(void **state)
{
	struct fixture *f = *state;

	f->fake.refused = identity(7).inner;
	owed_make(&f->endpoint);
	for (size_t i = 0; i <= N / AT_ONCE; i++)
		turn(f);
	assert_int_equal(f->fake.n_peers, N - 1);
	assert_int_equal(f->endpoint.peers.n_owed, 0);
	assert_int_equal(peers_count(&f->endpoint.peers), N - 1);
}

static void a_standby_is_made_ready_in_silence(void **state)
{
	struct fixture *f = *state;

	f->endpoint.config.is_standby = true;
	f->endpoint.state = ENDPOINT_STANDBY;
	owed_make(&f->endpoint);
	for (size_t i = 0; i <= N / AT_ONCE; i++)
		turn(f);
	assert_int_equal(f->fake.n_peers, N);
	assert_int_equal(f->fake.n_restored, 0);
}

static void of_an_endpoint_that_is_at_rest_nothing_is_made(void **state)
{
	struct fixture *f = *state;

	owed_make(&f->endpoint);
	turn(f);
	f->endpoint.state = ENDPOINT_AT_REST;
	turn(f);
	assert_int_equal(f->fake.n_peers, AT_ONCE);
	f->endpoint.state = ENDPOINT_OPEN;
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(a_few_are_made_at_a_time_those_active_last_first),
		RULE(a_request_does_not_wait_for_those_that_are_before_it),
		RULE(one_that_has_gone_or_is_to_go_is_not_made),
		RULE(what_a_device_does_not_answer_in_time_is_tried_again_and_given_up_by_nobody),
		RULE(what_is_refused_is_given_up_and_keeps_no_other_waiting),
		RULE(a_standby_is_made_ready_in_silence),
		RULE(of_an_endpoint_that_is_at_rest_nothing_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
