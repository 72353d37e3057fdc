#include "test.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/event.h"
#include "ipc/flow_process.h"
#include "server/child.h"
#include "server/endpoint.h"
#include "server/owner_feed.h"

enum {
	FIRST = 0x0a640002, /* inner address */
	PAST = 256, /* as owner_feed.c has it */
	ROOM = 64 << 20, /* likewise, of what waits for the process */
};

struct fixture {
	struct event_base *base;
	struct endpoint_list endpoints;
	struct endpoint endpoint;
	struct owner_feed *feed;
	struct child child;
	int process; /* the other end of its socket */
};

static void connect_child(struct fixture *f)
{
	int ends[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	f->child.fd = ends[0];
	f->process = ends[1];
}

static void disconnect_child(struct fixture *f)
{
	if (f->child.fd >= 0)
		close(f->child.fd);
	close(f->process);
	f->child.fd = -1;
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.endpoint.state = ENDPOINT_OPEN, .child.name = "flows 0"};
	f.base = event_base_new();
	TAILQ_INIT(&f.endpoints);
	TAILQ_INSERT_TAIL(&f.endpoints, &f.endpoint, entry);
	connect_child(&f);
	*state = &f;
	return peers_init(&f.endpoint.peers) < 0 || !f.base ||
	       owner_feed_new(f.base, &f.endpoints, &f.feed) < 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	disconnect_child(f);
	owner_feed_free(f->feed);
	peers_free(&f->endpoint.peers);
	event_base_free(f->base);
	return 0;
}

static struct peer peer_of(uint32_t i)
{
	return (struct peer){.id = {.kind = PEER_IPIP, .inner = {FIRST + i}}, .promise.made_s = 1};
}

static void add_peer(struct fixture *f, uint32_t i, bool is_told)
{
	const struct plane_peer id = {
		.kind = PEER_WIREGUARD, .inner = {FIRST + i}, .key = {{(uint8_t)i, 1}}};
	struct peer *peer = peers_add(&f->endpoint.peers, &id, 0);

	assert_non_null(peer);
	peer->is_told = is_told;
}

/* The kind of what comes next, and whose it is; 0: nothing does, though all events were served. */
static uint32_t hear(const struct fixture *f, uint32_t *i)
{
	struct flows_message message;
	int descriptor, error = flows_receive(f->process, &message, &descriptor);

	while (error == -EAGAIN && event_base_loop(f->base, EVLOOP_ONCE) == 0)
		error = flows_receive(f->process, &message, &descriptor);
	if (error == -EAGAIN)
		return 0;
	assert_int_equal(error, 0);
	*i = message.inner.value - FIRST;
	return message.kind;
}

static void a_process_is_told_who_went_lately_and_who_is_there(void **state)
{
	struct fixture *f = *state;
	const struct peer gone = peer_of(7);
	uint32_t i;

	owner_feed_ended(f->feed, &gone);
	add_peer(f, 1, true);
	add_peer(f, 2, false); /* it has no tunnel yet */
	assert_int_equal(owner_feed_tell_all(f->feed, &f->child), 0);
	assert_int_equal(hear(f, &i), FLOWS_BEGIN);
	assert_int_equal(i, 7);
	assert_int_equal(hear(f, &i), FLOWS_END);
	assert_int_equal(i, 7);
	assert_int_equal(hear(f, &i), FLOWS_BEGIN);
	assert_int_equal(i, 1);
	assert_int_equal(hear(f, &i), FLOWS_TOLD);
	assert_int_equal(hear(f, &i), 0);
}

/* It was not told of it yet: what has gone through it must have an owner all the same. */
static void one_that_goes_while_a_process_is_told_has_been_there(void **state)
{
	struct fixture *f = *state;
	const struct plane_peer id = {.kind = PEER_WIREGUARD, .key = {{1, 1}}};
	struct peer *peer;
	uint32_t i;

	add_peer(f, 1, true);
	add_peer(f, 2, true);
	assert_int_equal(owner_feed_tell_all(f->feed, &f->child), 0);
	peer = peers_find(&f->endpoint.peers, &id);
	owner_feed_ended(f->feed, peer);
	peers_remove(&f->endpoint.peers, peer);
	assert_int_equal(hear(f, &i), FLOWS_BEGIN);
	assert_int_equal(i, 1);
	assert_int_equal(hear(f, &i), FLOWS_END);
	assert_int_equal(i, 1);
	assert_int_equal(hear(f, &i), FLOWS_BEGIN);
	assert_int_equal(i, 2);
	assert_int_equal(hear(f, &i), FLOWS_TOLD);
	assert_int_equal(hear(f, &i), 0);
}

static void one_that_is_started_meanwhile_is_told_all_from_the_beginning(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	add_peer(f, 1, true);
	assert_int_equal(owner_feed_tell_all(f->feed, &f->child), 0);
	assert_int_equal(owner_feed_tell_all(f->feed, &f->child), 0);
	assert_int_equal(hear(f, &i), FLOWS_BEGIN);
	assert_int_equal(hear(f, &i), FLOWS_TOLD);
	assert_int_equal(hear(f, &i), 0);
}

static void of_those_who_have_gone_the_last_are_remembered(void **state)
{
	struct fixture *f = *state;
	uint32_t i, kind, n = 0;

	for (i = 0; i < PAST + 9; i++) {
		const struct peer gone = peer_of(i);

		owner_feed_ended(f->feed, &gone);
	}
	owner_feed_tell_all(f->feed, &f->child);
	while ((kind = hear(f, &i)) != FLOWS_TOLD) {
		assert_int_not_equal(kind, 0);
		assert_int_equal(i, 9 + n / 2);
		n++;
	}
	assert_int_equal(n, 2 * PAST);
}

/* It is told all when it is there again: else the server would grow with each client, for as long
 * as none can be started. */
static void for_a_process_that_is_not_there_nothing_is_kept(void **state)
{
	struct fixture *f = *state;
	const struct peer peer = peer_of(3);
	uint32_t i;

	owner_feed_tell_all(f->feed, &f->child);
	assert_int_equal(hear(f, &i), FLOWS_TOLD);
	disconnect_child(f);
	owner_feed_began(f->feed, &peer);
	owner_feed_ended(f->feed, &peer);
	connect_child(f);
	owner_feed_send(f->feed);
	assert_int_equal(hear(f, &i), 0);
}

static void a_process_that_does_not_listen_is_ended_before_too_much_waits_for_it(void **state)
{
	struct fixture *f = *state;
	const struct peer peer = peer_of(3);
	size_t n = 0;
	int status;

	f->child.resume = event_new(f->base, -1, 0, NULL, NULL);
	f->child.pid = fork();
	if (f->child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	owner_feed_tell_all(f->feed, &f->child);
	while (f->child.fd >= 0 && n < 2 * ROOM / sizeof(struct flows_message)) {
		owner_feed_began(f->feed, &peer);
		n++;
	}
	assert_int_equal(f->child.fd, -1);
	assert_true(n > 65536);
	assert_int_equal(waitpid(f->child.pid, &status, 0), f->child.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	free_event(f->child.resume);
}

#define FEED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FEED_TEST(a_process_is_told_who_went_lately_and_who_is_there),
		FEED_TEST(one_that_goes_while_a_process_is_told_has_been_there),
		FEED_TEST(one_that_is_started_meanwhile_is_told_all_from_the_beginning),
		FEED_TEST(of_those_who_have_gone_the_last_are_remembered),
		FEED_TEST(for_a_process_that_is_not_there_nothing_is_kept),
		FEED_TEST(a_process_that_does_not_listen_is_ended_before_too_much_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
