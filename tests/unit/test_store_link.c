/* The stores are this program itself: what main() does with the argument "store". */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/child.h"
#include "server/store_link.h"

enum {
	TIMEOUT_MS = 20000,
	INNER = 0x0a640002,
};

/* What a store does, in its first life or in all, as the last word of its folder's name says. */
static const char dies_amid_loading[] = "dies-amid-loading";
static const char of_another_version[] = "of-another-version";
static const char dies_with_three_orders[] = "dies-with-three-orders"; /* and confirms none */
static const char serves[] = "serves";
static const char serves_those_with_more[] =
	"serves-those-with-more"; /* to come, and ends at another */

static int n_failing_sends; /* the next ones, of this process */

/* The library's calls come here too. */
ssize_t send(int fd, const void *data, size_t length, int flags)
{
	if (n_failing_sends == 0)
		return sendto(fd, data, length, flags, NULL, 0);
	n_failing_sends--;
	errno = ENOBUFS;
	return -1;
}

/* The store */

static void say(uint32_t operation, uint64_t sequence, uint32_t inner)
{
	const struct storing_message message = {
		.version = STORING_VERSION,
		.operation = operation,
		.sequence = sequence,
		.peer = {.bind = {1},
			.inner = {inner},
			.kind = inner ? STORED_IPIP : 0,
			.remote = {inner ? 1 : 0}},
	};

	storing_send(STORE_FD_BROKER, &message);
}

static int answer_orders(bool only_with_more)
{
	struct pollfd broker = {.fd = STORE_FD_BROKER, .events = POLLIN};
	struct storing_message order;
	int error;

	do {
		poll(&broker, 1, -1);
		error = storing_receive_order(STORE_FD_BROKER, &order);
		if (error == 0 && only_with_more && !order.more_come)
			return EXIT_FAILURE;
		if (error == 0)
			say(STORING_DURABLE, order.sequence, 0);
	} while (error == 0 || error == -EAGAIN);
	return EXIT_SUCCESS;
}

static int die_with_orders(int n)
{
	struct pollfd broker = {.fd = STORE_FD_BROKER, .events = POLLIN};
	struct storing_message order;

	while (n > 0 && poll(&broker, 1, TIMEOUT_MS) > 0)
		n -= storing_receive_order(STORE_FD_BROKER, &order) == 0;
	return EXIT_FAILURE;
}

static int be_store(void)
{
	struct pollfd broker = {.fd = STORE_FD_BROKER, .events = POLLIN};
	struct store_config config;
	const char *behaviour;
	bool is_first;

	poll(&broker, 1, -1);
	if (storing_receive_config(STORE_FD_BROKER, &config) < 0)
		return EXIT_FAILURE;
	behaviour = strrchr(config.folder, '/') + 1;
	is_first = open(config.folder, O_CREAT | O_EXCL, 0600) >= 0;
	if (strcmp(behaviour, of_another_version) == 0) {
		const uint32_t version = STORING_VERSION + 1;

		send(STORE_FD_BROKER, &version, sizeof version, 0);
		return EXIT_FAILURE;
	}
	if (is_first && strcmp(behaviour, dies_amid_loading) == 0) {
		say(STORING_PEER, 0, INNER + 7);
		return EXIT_FAILURE;
	}
	say(STORING_PEER, 0, INNER);
	say(STORING_LOADED, 0, 0);
	if (is_first && strcmp(behaviour, dies_with_three_orders) == 0)
		return die_with_orders(3);
	return answer_orders(strcmp(behaviour, serves_those_with_more) == 0);
}

/* The broker */

struct fixture {
	struct event_base *base;
	struct store_link *link;
	char folder[32];
	uint32_t loaded; /* the inner address that was said last */
	size_t n_loaded;
	uint64_t durable;
	size_t n_ordered; /* as it was asked with last */
	bool more_come;
};

static void on_durable(void *context, uint64_t sequence)
{
	struct fixture *f = context;

	f->durable = sequence;
}

static bool more_come(void *context, size_t n_ordered)
{
	struct fixture *f = context;

	f->n_ordered = n_ordered;
	return f->more_come;
}

static void on_lost(void *context)
{
	(void)context;
}

static void on_record(void *context, const struct storing_message *record)
{
	struct fixture *f = context;

	if (!record) {
		f->n_loaded = 0;
	} else if (record->operation == STORING_PEER) {
		f->loaded = record->peer.inner.value;
		f->n_loaded++;
	}
}

static void start(struct fixture *f, const char *behaviour)
{
	struct store_link_config config = {
		.store = {.version = STORING_VERSION},
		.on_durable = on_durable,
		.on_lost = on_lost,
		.more_come = more_come,
		.context = f,
	};

	snprintf(config.store.folder, sizeof config.store.folder, "%s/%s", f->folder, behaviour);
	assert_int_equal(store_link_new(f->base, &config, &f->link), 0);
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.folder = "/tmp/vprox-link-XXXXXX"};
	f.base = event_base_new();
	*state = &f;
	n_failing_sends = 0;
	return f.base && mkdtemp(f.folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[64];

	store_link_free(f->link);
	event_base_free(f->base);
	snprintf(command, sizeof command, "rm -r %s", f->folder);
	return system(command);
}

static uint64_t order_something(struct fixture *f)
{
	const struct storing_message order = {
		.operation = STORING_FREE_ADDRESS, .peer = {.bind = {1}, .inner = {INNER}}};

	return store_link_order(f->link, &order);
}

static void run_until_durable(struct fixture *f, uint64_t sequence)
{
	const uint64_t deadline = clock_now_ms(&system_clock) + TIMEOUT_MS;

	while (f->durable < sequence && clock_now_ms(&system_clock) < deadline) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 1);
	}
	assert_int_equal(f->durable, sequence);
}

static void a_store_that_dies_while_it_tells_what_is_stored_is_started_again(void **state)
{
	struct fixture *f = *state;

	start(f, dies_amid_loading);
	assert_int_equal(store_link_load(f->link, TIMEOUT_MS, on_record, f), 0);
	assert_int_equal(f->n_loaded, 1);
	assert_int_equal(f->loaded, INNER);
	run_until_durable(f, order_something(f));
}

static void an_order_that_could_not_be_sent_is_sent_without_another_one(void **state)
{
	struct fixture *f = *state;
	uint64_t sequence;

	start(f, serves);
	assert_int_equal(store_link_load(f->link, TIMEOUT_MS, on_record, f), 0);
	n_failing_sends = 2;
	sequence = order_something(f);
	assert_int_equal(store_link_behind(f->link), 1);
	run_until_durable(f, sequence);
	assert_int_equal(n_failing_sends, 0);
}

static void the_store_is_told_with_an_order_whether_more_come(void **state)
{
	struct fixture *f = *state;
	const struct child *store;
	uint64_t sequence;

	start(f, serves_those_with_more);
	store = store_link_process(f->link);
	assert_int_equal(store_link_load(f->link, TIMEOUT_MS, on_record, f), 0);
	f->more_come = true;
	run_until_durable(f, order_something(f));
	assert_int_equal(f->n_ordered, 1);
	assert_int_equal(store->generation, 1);
	f->more_come = false;
	sequence = order_something(f);
	while (store->generation == 1)
		event_base_loop(f->base, EVLOOP_ONCE);
	/* And the next one anew. */
	f->more_come = true;
	run_until_durable(f, sequence);
}

/* As while etcd is away: what is sent, and confirmed by nobody, is not to fill the memory. */
static void of_orders_about_one_address_that_nobody_confirms_the_last_is_kept(void **state)
{
	struct fixture *f = *state;

	start(f, dies_with_three_orders);
	assert_int_equal(store_link_load(f->link, TIMEOUT_MS, on_record, f), 0);
	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(order_something(f), i);
	assert_int_equal(store_link_behind(f->link), 1);
	/* The next store is given it. */
	run_until_durable(f, 3);
	assert_int_equal(store_link_behind(f->link), 0);
}

static void a_store_of_another_version_is_not_started_again_and_nobody_waits_for_it(void **state)
{
	struct fixture *f = *state;
	const uint64_t begin = clock_now_ms(&system_clock);
	const struct child *store;

	start(f, of_another_version);
	store = store_link_process(f->link);
	assert_true(store_link_load(f->link, TIMEOUT_MS, on_record, f) < 0);
	assert_true(clock_now_ms(&system_clock) - begin < TIMEOUT_MS);
	assert_int_equal(order_something(f), 0);
	assert_int_equal(store_link_behind(f->link), 0);
	while (store->pid != 0)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(store->generation, 1);
	assert_false(child_group_is_running(store->group));
	assert_true(child_group_is_retired(store->group));
}

/* Somebody else has to see its end before us: it is killed and does not end, as in the kernel's
 * hands where a disk does not answer. */
static pid_t trace(pid_t pid)
{
	int ready[2];
	pid_t tracer;
	char byte;

	assert_int_equal(pipe(ready), 0);
	tracer = fork();
	if (tracer == 0) {
		alarm(TIMEOUT_MS / 1000);
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0 && write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return tracer;
}

static void a_store_that_does_not_even_end_when_it_is_killed_is_left_behind(void **state)
{
	struct fixture *f = *state;
	uint64_t begin;
	pid_t store, tracer;

	start(f, serves);
	assert_int_equal(store_link_load(f->link, TIMEOUT_MS, on_record, f), 0);
	store = store_link_process(f->link)->pid;
	tracer = trace(store);
	begin = clock_now_ms(&system_clock);
	store_link_free(f->link);
	f->link = NULL;
	assert_true(clock_now_ms(&system_clock) - begin < TIMEOUT_MS / 2);
	kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
	assert_int_equal(waitpid(store, NULL, 0), store);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_store_that_dies_while_it_tells_what_is_stored_is_started_again, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			an_order_that_could_not_be_sent_is_sent_without_another_one, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			the_store_is_told_with_an_order_whether_more_come, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_orders_about_one_address_that_nobody_confirms_the_last_is_kept, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_store_of_another_version_is_not_started_again_and_nobody_waits_for_it,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_store_that_does_not_even_end_when_it_is_killed_is_left_behind, set_up,
			tear_down),
	};

	if (argc == 2 && strcmp(argv[1], "store") == 0)
		return be_store();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
