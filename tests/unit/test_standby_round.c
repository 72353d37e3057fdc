/* What another host tells of its peers, in a data plane of memory. */
#include "test.h"

#include <event2/event.h>

#include "base/log.h"
#include "fake_plane.h"
#include "server/adoption.h"
#include "server/endpoint.h"
#include "server/promised.h"
#include "server/standby.h"
#include "server/standby_round.h"

enum {
	N = 60,
	BIND = 0xcb007101,
	OTHER_BIND = 0xcb007102,
	FIRST = 0x0a000002, /* inner address */
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
	struct promised promised;
};

static void tell_at(struct fixture *f, uint32_t bind, uint32_t peer, uint32_t inner)
{
	const struct storing_message record = {.operation = STORING_PEER,
		.peer = {.bind = {bind},
			.inner = {FIRST + inner},
			.kind = STORED_IPIP,
			.remote = {0xc6120001 + peer},
			.active_s = 1000 + peer * 31 % N}};

	assert_int_equal(promised_add(&f->promised, &record), 0);
}

/* That this peer has this inner address. */
static void tell(struct fixture *f, uint32_t peer, uint32_t inner)
{
	tell_at(f, BIND, peer, inner);
}

static void tell_freed(struct fixture *f, uint32_t inner)
{
	const struct storing_message record = {
		.operation = STORING_FREED, .peer = {.bind = {BIND}, .inner = {FIRST + inner}}};

	assert_int_equal(promised_add(&f->promised, &record), 0);
}

static void update(struct fixture *f, bool is_all)
{
	promised_sort(&f->promised);
	standby_update(&f->endpoint, &f->promised, is_all);
}

static int set_up(void **state)
{
	static struct fixture f;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
	f = (struct fixture){.base = event_base_new()};
	fake_plane_init(&f.fake);
	f.endpoint = (struct endpoint){
		.config = {.bind = {BIND}},
		.public_key = {{0xff, 1}},
		.plane = &f.fake.plane,
		.clock = &still,
	};
	prefix_parse("10.0.0.0/24", &f.endpoint.config.block);
	f.endpoint.config.gateway = pool_gateway(f.endpoint.config.block);
	*state = &f;
	return standby_open(&f.endpoint, f.base);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	promised_free(&f->promised);
	endpoint_close(&f->endpoint, false);
	event_base_free(f->base);
	return 0;
}

static void run(struct fixture *f)
{
	while (f->endpoint.standby.told || f->endpoint.peers.n_owed > 0)
		assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
}

static void tell_all(struct fixture *f)
{
	for (uint32_t i = 0; i < N; i++)
		tell(f, i, i);
	update(f, true);
}

static const struct peer *find(const struct fixture *f, uint32_t peer)
{
	const struct plane_peer id = {.kind = PEER_IPIP, .remote = {0xc6120001 + peer}};

	return peers_find(&f->endpoint.peers, &id);
}

static void assert_has(const struct fixture *f, uint32_t peer, uint32_t inner)
{
	assert_non_null(find(f, peer));
	assert_int_equal(find(f, peer)->id.inner.value, FIRST + inner);
}

static void others_have_their_turn_before_what_is_told_is_made_ready(void **state)
{
	struct fixture *f = *state;

	tell_at(f, OTHER_BIND, 0, 0);
	tell_all(f);
	assert_int_equal(peers_count(&f->endpoint.peers), 0);
	run(f);
	assert_int_equal(peers_count(&f->endpoint.peers), N);
	assert_int_equal(f->fake.n_peers, N);
	/* The rest is not this endpoint's. */
	assert_int_equal(f->promised.n_peers, 1);
}

static void of_changes_who_has_an_address_no_more_is_gone_and_all_others_stay(void **state)
{
	struct fixture *f = *state;

	tell_all(f);
	run(f);
	tell_freed(f, 3);
	tell(f, N, 7); /* another one has it */
	tell(f, 9, N + 1); /* it has another one */
	tell(f, N + 2, N + 2);
	update(f, false);
	run(f);
	assert_int_equal(peers_count(&f->endpoint.peers), N);
	assert_null(find(f, 3));
	assert_null(find(f, 7));
	assert_has(f, N, 7);
	assert_has(f, 9, N + 1);
	assert_has(f, N + 2, N + 2);
	assert_has(f, 10, 10);
	assert_int_equal(f->fake.n_peers, N);
	assert_false(pool_is_taken(f->endpoint.pool, (struct ipv4){FIRST + 3}));
	assert_false(pool_is_taken(f->endpoint.pool, (struct ipv4){FIRST + 9}));
}

static void where_all_is_told_who_is_not_among_it_is_gone(void **state)
{
	struct fixture *f = *state;

	tell_all(f);
	run(f);
	for (uint32_t i = 2; i < N; i++)
		tell(f, i, i == 5 ? 0 : i);
	update(f, true);
	run(f);
	assert_int_equal(peers_count(&f->endpoint.peers), N - 2);
	assert_null(find(f, 0));
	assert_has(f, 5, 0);
	assert_has(f, 6, 6);
}

static void what_is_told_next_comes_after_all_of_what_was_told_before(void **state)
{
	struct fixture *f = *state;

	tell_all(f);
	tell_freed(f, 4);
	update(f, false);
	assert_int_equal(peers_count(&f->endpoint.peers), N);
	run(f);
	assert_int_equal(peers_count(&f->endpoint.peers), N - 1);
	assert_null(find(f, 4));
}

static void when_the_address_comes_all_that_was_told_is_known(void **state)
{
	struct fixture *f = *state;

	tell_all(f);
	standby_take_over(&f->endpoint, &f->promised, f->base);
	assert_int_equal(peers_count(&f->endpoint.peers), N);
	run(f);
	assert_int_equal(f->fake.n_peers, N);
}

static void an_endpoint_that_closes_has_nothing_left_to_do(void **state)
{
	struct fixture *f = *state;

	tell_all(f);
	endpoint_close(&f->endpoint, false);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_int_equal(f->fake.n_peers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(others_have_their_turn_before_what_is_told_is_made_ready),
		TEST(of_changes_who_has_an_address_no_more_is_gone_and_all_others_stay),
		TEST(where_all_is_told_who_is_not_among_it_is_gone),
		TEST(what_is_told_next_comes_after_all_of_what_was_told_before),
		TEST(when_the_address_comes_all_that_was_told_is_known),
		TEST(an_endpoint_that_closes_has_nothing_left_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
