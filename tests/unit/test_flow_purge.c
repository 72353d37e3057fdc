/* When a purge of connections begins, what it is about, and when it gives addresses free: with a
 * kernel of the test's own, and times of some ms. */
#include "addresses.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sanitizer.h"
#include "server/endpoint.h"
#include "server/flow_purge.h"

enum {
	N_ENDPOINTS = 2,
	MAX_PASSES = 16,
	WATCHDOG_S = 60,
};

static const struct flow_purge_times times = {
	.gather = 20,
	.gather_most = 200,
	.settle = 20,
	.retry_soon = 100, /* longer than a busy machine stands still between two looks at it */
	.retry = 5,
	.rest = 500,
};

/* What the kernel's table has, and how it behaves. Used by the pass's thread. */
struct kernel {
	int errors[MAX_PASSES]; /* of the first passes */
	atomic_int error; /* of the later ones */
	unsigned int delay_ms; /* of each pass */
	struct ipv4 entries[8];
	size_t n_entries;
	atomic_uint n_begun, n_passes;
	size_t n_matched; /* in the last pass */
};

struct fixture {
	struct event_base *base;
	struct kernel kernel;
	struct endpoint endpoints[N_ENDPOINTS];
	struct endpoint_list list;
	struct flow_purge *purge;
	unsigned int n_freed; /* calls */
};

static struct fixture *the_fixture; /* for the pass, which has no context of its own */

static int pass(conntrack_match_fn *match, void *context, struct conntrack_result *result)
{
	struct kernel *kernel = &the_fixture->kernel;
	unsigned int number = kernel->n_passes;

	kernel->n_begun++;
	usleep(kernel->delay_ms * 1000);
	kernel->n_matched = 0;
	for (size_t i = 0; i < kernel->n_entries; i++)
		kernel->n_matched += match(context, kernel->entries[i]);
	*result = (struct conntrack_result){kernel->n_entries, kernel->n_matched};
	kernel->n_passes++;
	return number < MAX_PASSES && kernel->errors[number] < 0 ? kernel->errors[number]
								 : kernel->error;
}

static void note_freed(void *context, struct endpoint *endpoint)
{
	struct fixture *f = context;

	(void)endpoint;
	f->n_freed++;
}

static int setup(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	alarm(WATCHDOG_S);
	f = (struct fixture){.base = event_base_new()};
	the_fixture = &f;
	*state = &f;
	TAILQ_INIT(&f.list);
	for (uint32_t i = 0; i < N_ENDPOINTS; i++) {
		struct prefix block = {{0x0a000000 + 8 * i}, 29};

		f.endpoints[i].config.block = block;
		assert_int_equal(pool_new(block, &f.endpoints[i].pool), 0);
		TAILQ_INSERT_TAIL(&f.list, &f.endpoints[i], entry);
	}
	return f.base ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	flow_purge_free(f->purge);
	for (size_t i = 0; i < N_ENDPOINTS; i++)
		pool_free(f->endpoints[i].pool);
	event_base_free(f->base);
	return 0;
}

static void start_with_block(struct fixture *f, const char *block)
{
	struct flow_purge_config config = {
		.block = prefix(block),
		.endpoints = &f->list,
		.delete = pass,
		.freed = note_freed,
		.context = f,
		.clock = &system_clock,
		.times = &times,
	};

	assert_int_equal(flow_purge_new(f->base, &config, &f->purge), 0);
}

static void start(struct fixture *f)
{
	start_with_block(f, "10.0.0.0/28");
}

/* Runs the loop until so many passes have ended. */
static void run_passes(struct fixture *f, unsigned int n)
{
	while (f->kernel.n_passes < n)
		event_base_loop(f->base, EVLOOP_ONCE);
	/* The end of the last one, which the loop may not have heard of yet. */
	usleep(5000);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void run_ms(struct fixture *f, uint64_t ms)
{
	uint64_t end = clock_now_ms(&system_clock) + ms;

	while (clock_now_ms(&system_clock) < end) {
		event_base_loop(f->base, EVLOOP_NONBLOCK);
		usleep(500);
	}
}

static int take(struct fixture *f, size_t i)
{
	struct ipv4 address;

	return pool_take(f->endpoints[i].pool, &address);
}

static void assert_takes(struct fixture *f, size_t i, const char *expected)
{
	struct ipv4 address;

	assert_int_equal(pool_take(f->endpoints[i].pool, &address), 0);
	assert_string_equal(ipv4_text(address).s, expected);
}

static void release(struct fixture *f, size_t i, const char *address)
{
	pool_release(f->endpoints[i].pool, ipv4(address));
	flow_purge_released(f->purge);
}

/* Takes all addresses after the pass of the start. */
static void start_and_fill(struct fixture *f)
{
	start(f);
	run_passes(f, 1);
	for (size_t i = 0; i < N_ENDPOINTS; i++)
		while (take(f, i) == 0) {
		}
}

static void at_the_start_nothing_is_given_out_before_a_pass_over_all_that_nobody_holds(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pool_claim(f->endpoints[0].pool, ipv4("10.0.0.3")), 0);
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.2");
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.3"); /* held */
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.12");
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.1"); /* the server's */
	f->kernel.entries[f->kernel.n_entries++] = ipv4("192.0.2.1");
	f->kernel.delay_ms = 20;
	start(f);
	run_ms(f, times.settle / 2);
	assert_int_equal(f->kernel.n_passes, 0);
	assert_int_equal(take(f, 0), -EAGAIN);
	run_passes(f, 1);
	assert_int_equal(f->kernel.n_matched, 2);
	assert_int_equal(f->n_freed, N_ENDPOINTS);
	/* Those with connections were used last. */
	assert_takes(f, 0, "10.0.0.4");
	assert_takes(f, 0, "10.0.0.5");
	assert_takes(f, 0, "10.0.0.6");
	assert_takes(f, 0, "10.0.0.2");
	assert_takes(f, 1, "10.0.0.10");
}

static void addresses_released_together_share_a_pass(void **state)
{
	struct fixture *f = *state;

	start_and_fill(f);
	release(f, 0, "10.0.0.3");
	release(f, 1, "10.0.0.11");
	release(f, 1, "10.0.0.12");
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.3");
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.12");
	f->kernel.entries[f->kernel.n_entries++] = ipv4("10.0.0.13");
	assert_int_equal(take(f, 0), -EAGAIN);
	run_passes(f, 2);
	assert_int_equal(f->kernel.n_matched, 2);
	assert_takes(f, 0, "10.0.0.3");
	assert_takes(f, 1, "10.0.0.11");
	assert_takes(f, 1, "10.0.0.12");
	run_ms(f, 100);
	assert_int_equal(f->kernel.n_passes, 2);
}

static void a_pass_begins_after_a_pause_that_hurry_shortens_to_what_packets_need(void **state)
{
	struct fixture *f = *state;
	uint64_t began;

	start_and_fill(f);
	began = clock_now_ms(&system_clock);
	release(f, 0, "10.0.0.3");
	run_passes(f, 2);
	assert_true(clock_now_ms(&system_clock) - began >= times.gather + times.settle);
	began = clock_now_ms(&system_clock);
	release(f, 0, "10.0.0.4");
	flow_purge_hurry(f->purge);
	assert_int_equal(take(f, 0), 0);
	assert_int_equal(take(f, 0), -EAGAIN);
	run_passes(f, 3);
	assert_true(clock_now_ms(&system_clock) - began >= times.settle);
	assert_takes(f, 0, "10.0.0.4");
}

static void what_is_released_during_a_pass_waits_for_the_next(void **state)
{
	struct fixture *f = *state;

	start_and_fill(f);
	f->kernel.delay_ms = 200;
	release(f, 0, "10.0.0.3");
	while (f->kernel.n_begun < 2)
		run_ms(f, 1);
	release(f, 0, "10.0.0.4");
	run_passes(f, 2);
	assert_takes(f, 0, "10.0.0.3");
	assert_int_equal(take(f, 0), -EAGAIN);
	run_passes(f, 3);
	assert_takes(f, 0, "10.0.0.4");
}

static void releases_that_never_end_do_not_put_a_pass_off_for_ever(void **state)
{
	struct fixture *f = *state;
	uint64_t began;

	start_and_fill(f);
	began = clock_now_ms(&system_clock);
	release(f, 0, "10.0.0.3");
	while (f->kernel.n_passes < 2) {
		flow_purge_released(f->purge);
		run_ms(f, 1);
	}
	assert_true(clock_now_ms(&system_clock) - began >= times.gather_most / 2);
}

static void a_pass_that_may_have_missed_entries_is_made_again(void **state)
{
	struct fixture *f = *state;

	f->kernel.errors[1] = -EINTR; /* NLM_F_DUMP_INTR */
	f->kernel.errors[2] = -ENOBUFS;
	start_and_fill(f);
	release(f, 0, "10.0.0.3");
	run_passes(f, 2);
	assert_int_equal(take(f, 0), -EAGAIN);
	run_passes(f, 3);
	assert_int_equal(take(f, 0), -EAGAIN);
	run_passes(f, 4);
	assert_takes(f, 0, "10.0.0.3");
}

static void without_connection_tracking_a_freed_address_rests_and_then_is_free(void **state)
{
	struct fixture *f = *state;
	uint64_t began;

	start_and_fill(f);
	f->kernel.error = -EOPNOTSUPP;
	began = clock_now_ms(&system_clock);
	release(f, 0, "10.0.0.3");
	assert_true(flow_purge_works(f->purge));
	while (take(f, 0) == -EAGAIN)
		run_ms(f, 1);
	assert_true(clock_now_ms(&system_clock) - began >= times.rest);
}

static void that_connection_tracking_is_back_is_noticed(void **state)
{
	struct fixture *f = *state;

	start_and_fill(f);
	f->kernel.error = -EPERM;
	release(f, 0, "10.0.0.3");
	while (flow_purge_works(f->purge))
		run_ms(f, 1);
	f->kernel.error = 0;
	release(f, 0, "10.0.0.4"); /* on a slow machine the first one has rested by now */
	while (!flow_purge_works(f->purge))
		run_ms(f, 1);
	assert_takes(f, 0, "10.0.0.3");
}

static void without_connection_tracking_a_new_server_still_serves(void **state)
{
	struct fixture *f = *state;

	f->kernel.error = -EPERM;
	start(f);
	while (f->n_freed == 0)
		run_ms(f, 1);
	assert_takes(f, 0, "10.0.0.2");
	assert_takes(f, 1, "10.0.0.10");
	release(f, 0, "10.0.0.2");
	assert_takes(f, 0, "10.0.0.3");
}

/* What the process has now, and some more. Returns the limit before. */
static struct rlimit limit_memory(void)
{
	const rlim_t some = 8 << 20;
	struct rlimit before, limit;
	unsigned long pages;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_int_equal(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	limit = before;
	limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + some;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	return before;
}

static void without_memory_for_a_pass_a_freed_address_waits_until_there_is_some(void **state)
{
	struct fixture *f = *state;
	struct rlimit before;

	if (SANITIZER)
		return; /* it ends a program that asks for too much */
	start_with_block(f, "0.0.0.0/4"); /* of which a pass needs 64 MB */
	run_passes(f, 1);
	while (take(f, 0) == 0) {
	}
	before = limit_memory();
	release(f, 0, "10.0.0.3");
	while (flow_purge_works(f->purge))
		run_ms(f, 1);
	run_ms(f, times.rest);
	assert_int_equal(take(f, 0), -EAGAIN);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	while (!flow_purge_works(f->purge))
		run_ms(f, 1);
	assert_takes(f, 0, "10.0.0.3");
}

static void an_end_in_the_middle_of_a_pass_waits_for_it(void **state)
{
	struct fixture *f = *state;

	f->kernel.delay_ms = 200;
	start(f);
	while (f->kernel.n_begun == 0)
		run_ms(f, 1);
	flow_purge_free(f->purge);
	f->purge = NULL;
	assert_int_equal(f->kernel.n_passes, 1);
	assert_int_equal(f->n_freed, 0);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(at_the_start_nothing_is_given_out_before_a_pass_over_all_that_nobody_holds),
		RULE(addresses_released_together_share_a_pass),
		RULE(a_pass_begins_after_a_pause_that_hurry_shortens_to_what_packets_need),
		RULE(what_is_released_during_a_pass_waits_for_the_next),
		RULE(releases_that_never_end_do_not_put_a_pass_off_for_ever),
		RULE(a_pass_that_may_have_missed_entries_is_made_again),
		RULE(without_connection_tracking_a_freed_address_rests_and_then_is_free),
		RULE(that_connection_tracking_is_back_is_noticed),
		RULE(without_connection_tracking_a_new_server_still_serves),
		RULE(without_memory_for_a_pass_a_freed_address_waits_until_there_is_some),
		RULE(an_end_in_the_middle_of_a_pass_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
