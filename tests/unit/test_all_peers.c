#include "test.h"

#include <event2/event.h>

#include "server/all_peers.h"
#include "server/peer_walk.h"

enum {
	N_ENDPOINTS = 3,
	N = 50, /* peers of each */
	FIRST_BIND = 0xcb007101,
};

struct fixture {
	struct event_base *base;
	struct endpoint_list endpoints;
	struct endpoint each[N_ENDPOINTS];
	struct all_peers all;
	size_t n_visited[N_ENDPOINTS], n_done;
};

static void visit(void *context, struct endpoint *endpoint, struct peer *peer)
{
	struct fixture *f = context;

	assert_ptr_equal(peers_find(&endpoint->peers, &peer->id), peer);
	f->n_visited[endpoint - f->each]++;
}

static void end(void *context)
{
	struct fixture *f = context;

	assert_false(all_peers_runs(&f->all));
	f->n_done++;
}

static void fill(struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < N; i++) {
		const struct plane_peer id = {.kind = PEER_IPIP, .remote = {i + 1}};

		assert_non_null(peers_add(&endpoint->peers, &id, 0));
	}
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.base = event_base_new()};
	TAILQ_INIT(&f.endpoints);
	for (uint32_t i = 0; i < N_ENDPOINTS; i++) {
		f.each[i].config.bind.value = FIRST_BIND + i;
		f.each[i].state = ENDPOINT_OPEN;
		TAILQ_INSERT_TAIL(&f.endpoints, &f.each[i], entry);
		if (peers_init(&f.each[i].peers) < 0)
			return -1;
		fill(&f.each[i]);
	}
	*state = &f;
	return all_peers_init(&f.all, f.base, &f.endpoints, visit, end, &f);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	all_peers_free(&f->all);
	for (uint32_t i = 0; i < N_ENDPOINTS; i++)
		peers_free(&f->each[i].peers);
	event_base_free(f->base);
	return 0;
}

/* As an endpoint does that closes. */
static void close_one(struct fixture *f, size_t i)
{
	peer_walk_end_all(&f->each[i]);
	f->each[i].state = ENDPOINT_DESCRIBED;
}

static void turn(struct fixture *f)
{
	assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
}

static void peers_of_all_endpoints_are_visited_once(void **state)
{
	struct fixture *f = *state;

	f->each[1].state = ENDPOINT_STANDBY;
	assert_int_equal(all_peers_begin(&f->all), 0);
	event_base_dispatch(f->base);
	for (size_t i = 0; i < N_ENDPOINTS; i++)
		assert_int_equal(f->n_visited[i], N);
	assert_int_equal(f->n_done, 1);
}

static void others_have_their_turn_before_it_begins_and_between_endpoints(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(all_peers_begin(&f->all), 0);
	assert_int_equal(f->n_visited[0], 0);
	turn(f);
	assert_int_equal(f->n_visited[1], 0);
	assert_true(all_peers_runs(&f->all));
}

static void one_that_closes_or_goes_before_its_turn_is_left_out(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(all_peers_begin(&f->all), 0);
	close_one(f, 0);
	TAILQ_REMOVE(&f->endpoints, &f->each[1], entry);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_visited[0] + f->n_visited[1], 0);
	assert_int_equal(f->n_visited[2], N);
	assert_int_equal(f->n_done, 1);
}

static void one_that_closes_in_its_turn_does_not_end_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(all_peers_begin(&f->all), 0);
	turn(f);
	close_one(f, 0);
	event_base_dispatch(f->base);
	assert_int_equal(f->n_visited[1] + f->n_visited[2], 2 * N);
	assert_int_equal(f->n_done, 1);
}

static void one_that_is_begun_again_visits_all(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(all_peers_begin(&f->all), 0);
	while (f->n_visited[1] == 0)
		turn(f);
	memset(f->n_visited, 0, sizeof f->n_visited);
	assert_int_equal(all_peers_begin(&f->all), 0);
	event_base_dispatch(f->base);
	for (size_t i = 0; i < N_ENDPOINTS; i++)
		assert_int_equal(f->n_visited[i], N);
	assert_int_equal(f->n_done, 1);
}

static void nobody_is_told_of_one_that_is_cancelled(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(all_peers_begin(&f->all), 0);
	turn(f);
	all_peers_cancel(&f->all);
	assert_false(all_peers_runs(&f->all));
	event_base_dispatch(f->base);
	assert_int_equal(f->n_visited[2] + f->n_done, 0);
}

#define WALK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WALK_TEST(peers_of_all_endpoints_are_visited_once),
		WALK_TEST(others_have_their_turn_before_it_begins_and_between_endpoints),
		WALK_TEST(one_that_closes_or_goes_before_its_turn_is_left_out),
		WALK_TEST(one_that_closes_in_its_turn_does_not_end_it),
		WALK_TEST(one_that_is_begun_again_visits_all),
		WALK_TEST(nobody_is_told_of_one_that_is_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
