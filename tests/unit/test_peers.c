#include "test.h"

#include <malloc.h>

#include "server/peers.h"
#include "server/pool.h"

enum {
	N = 50000,
	MOST = 300, /* bytes of a peer */
	FIRST_SOURCE = 0xc6120001,
};

static const struct prefix block = {{0x0a000000}, 16};

struct fixture {
	struct peers peers;
	struct pool *pool;
};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	assert_int_equal(peers_init(&f.peers), 0);
	assert_int_equal(pool_new(block, &f.pool), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	peers_free(&f->peers);
	pool_free(f->pool);
	return 0;
}

/* The one that costs most: no other has its source. */
static void add(struct fixture *f, uint32_t i)
{
	struct plane_peer id = {.kind = i % 2 ? PEER_IPIP : PEER_WIREGUARD};
	struct peer *peer;

	id.remote.value = FIRST_SOURCE + i;
	memcpy(id.key.bytes, &i, sizeof i);
	assert_int_equal(pool_take(f->pool, &id.inner), 0);
	peer = peers_add(&f->peers, &id, 0);
	assert_non_null(peer);
	peers_set_source(&f->peers, peer, id.remote);
}

/* What malloc() itself takes counts too. A sanitizer's counts nothing. */
static size_t taken(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void a_peer_with_its_address_and_its_source_takes_less_than_300_bytes(void **state)
{
	struct fixture *f = *state;
	const size_t before = taken();
	size_t a_peer;

	for (uint32_t i = 0; i < N; i++)
		add(f, i);
	a_peer = (taken() - before) / N;
	print_message("%zu bytes a peer, of which %zu are its own\n", a_peer, sizeof(struct peer));
	assert_true(a_peer < MOST);
}

static const struct key first_id = {{1}}, second_id = {{2}}, no_id;

static void an_id_is_told_from_others_and_from_none(void **state)
{
	const struct peers *peers = &((struct fixture *)*state)->peers;

	assert_int_equal(peers_client(peers, &no_id), 0);
	assert_int_not_equal(peers_client(peers, &first_id), 0);
	assert_int_equal(peers_client(peers, &first_id), peers_client(peers, &first_id));
	assert_int_not_equal(peers_client(peers, &first_id), peers_client(peers, &second_id));
}

static void a_rate_is_of_the_span_though_the_clocks_lower_half_begins_anew(void **state)
{
	struct fixture *f = *state;
	const uint64_t begin_ms = UINT32_MAX - 500;
	const struct plane_peer id = {.kind = PEER_IPIP, .remote = {FIRST_SOURCE}};
	const struct plane_usage usage = {.received = 5000, .sent = 1000};
	struct peer *peer = peers_add(&f->peers, &id, begin_ms);

	assert_non_null(peer);
	peers_record_usage(&f->peers, peer, &usage, begin_ms + 2000);
	assert_int_equal((int)peer->rate.received, 2500);
	assert_int_equal((int)peer->rate.sent, 500);
}

static void a_device_that_lies_makes_no_rate_that_is_no_whole_number(void **state)
{
	struct fixture *f = *state;
	const struct plane_peer id = {.kind = PEER_IPIP, .remote = {FIRST_SOURCE}};
	const struct plane_usage usage = {.received = UINT64_MAX, .sent = UINT64_MAX / 1000};
	struct peer *peer = peers_add(&f->peers, &id, 0);

	assert_non_null(peer);
	peers_record_usage(&f->peers, peer, &usage, RATE_SPAN_MS);
	assert_true(peer->rate.received < (float)INT64_MAX);
	assert_true(peer->rate.sent > 0 && peer->rate.sent < (float)INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_peer_with_its_address_and_its_source_takes_less_than_300_bytes, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			an_id_is_told_from_others_and_from_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_rate_is_of_the_span_though_the_clocks_lower_half_begins_anew, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_device_that_lies_makes_no_rate_that_is_no_whole_number, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
