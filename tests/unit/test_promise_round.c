/* What is ordered of a store that never gets as far as to take it: it is this program itself, which
 * ends at once with the argument "store". */
#include "test.h"

#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "server/promise_round.h"
#include "server/store_link.h"

enum {
	N_ENDPOINTS = 3,
	N = 50, /* peers of each */
	OF_ENDPOINT = 2, /* orders about it itself: its peers are forgotten, and what it is */
};

struct fixture {
	struct event_base *base;
	struct store_link *link;
	struct endpoint_list endpoints;
	struct endpoint each[N_ENDPOINTS];
	struct promise_round round;
	size_t n_done;
};

static void end(void *context)
{
	struct fixture *f = context;

	f->n_done++;
}

static int fill(struct fixture *f, struct endpoint *endpoint)
{
	endpoint->state = ENDPOINT_OPEN;
	endpoint->store = f->link;
	endpoint->clock = &system_clock;
	TAILQ_INSERT_TAIL(&f->endpoints, endpoint, entry);
	if (peers_init(&endpoint->peers) < 0)
		return -1;
	for (uint32_t i = 1; i <= N; i++) {
		const struct plane_peer id = {.kind = PEER_IPIP, .inner = {i}, .remote = {i}};

		if (!peers_add(&endpoint->peers, &id, 0))
			return -1;
	}
	return 0;
}

static int set_up(void **state)
{
	static struct fixture f;
	const struct store_link_config config = {.store = {.version = STORING_VERSION}};
	int error;

	f = (struct fixture){.base = event_base_new()};
	*state = &f;
	TAILQ_INIT(&f.endpoints);
	error = store_link_new(f.base, &config, &f.link);
	for (uint32_t i = 0; i < N_ENDPOINTS && error == 0; i++) {
		f.each[i].config.bind.value = i + 1;
		error = fill(&f, &f.each[i]);
	}
	return error < 0 ? error : promise_round_init(&f.round, f.base, &f.endpoints, end, &f);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	promise_round_free(&f->round);
	for (size_t i = 0; i < N_ENDPOINTS; i++)
		peers_free(&f->each[i].peers);
	store_link_forget(f->link);
	store_link_free(f->link);
	event_base_free(f->base);
	return 0;
}

static void run_to_its_end(struct fixture *f)
{
	while (f->n_done == 0)
		assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
}

static void others_have_their_turn_before_any_peer_is_promised(void **state)
{
	struct fixture *f = *state;

	promise_round_begin(&f->round);
	assert_int_equal(store_link_behind(f->link), N_ENDPOINTS * OF_ENDPOINT);
	assert_int_equal(f->n_done, 0);
	run_to_its_end(f);
	assert_int_equal(store_link_behind(f->link), N_ENDPOINTS * (OF_ENDPOINT + N));
	assert_int_equal(f->n_done, 1);
}

static void what_another_host_serves_is_not_promised_and_what_rests_is(void **state)
{
	struct fixture *f = *state;

	f->each[0].state = ENDPOINT_STANDBY;
	f->each[1].state = ENDPOINT_AT_REST;
	promise_round_begin(&f->round);
	run_to_its_end(f);
	assert_int_equal(store_link_behind(f->link), 2 * (OF_ENDPOINT + N));
}

static void one_that_is_cut_short_has_promised_all(void **state)
{
	struct fixture *f = *state;

	promise_round_begin(&f->round);
	promise_round_finish(&f->round);
	assert_int_equal(store_link_behind(f->link), N_ENDPOINTS * (OF_ENDPOINT + N));
	/* Nothing is left of it. */
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_int_equal(f->n_done, 0);
}

static void where_none_is_under_way_nothing_is_cut_short(void **state)
{
	struct fixture *f = *state;

	promise_round_finish(&f->round);
	assert_int_equal(store_link_behind(f->link), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(others_have_their_turn_before_any_peer_is_promised),
		TEST(what_another_host_serves_is_not_promised_and_what_rests_is),
		TEST(one_that_is_cut_short_has_promised_all),
		TEST(where_none_is_under_way_nothing_is_cut_short),
	};

	if (argc > 1 && strcmp(argv[1], "store") == 0)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
