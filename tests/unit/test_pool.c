#include "addresses.h"

#include <errno.h>

#include "server/pool.h"

static struct pool *pool(const char *block)
{
	struct pool *pool;

	assert_int_equal(pool_new(prefix(block), &pool), 0);
	return pool;
}

static void assert_takes(struct pool *p, const char *expected)
{
	struct ipv4 address;

	assert_int_equal(pool_take(p, &address), 0);
	assert_string_equal(ipv4_text(address).s, expected);
}

static void pass_over(void *context, struct ipv4 address)
{
	(void)context;
	(void)address;
}

/* As if the connections of all that were released were deleted. */
static void purge(struct pool *p)
{
	pool_begin_purge(p, pass_over, NULL);
	pool_end_purge(p, NULL, NULL);
}

static void network_gateway_and_broadcast_are_never_given_out(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct ipv4 address;

	(void)state;
	assert_int_equal(pool_capacity(p), 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(pool_take(p, &address), 0);
		assert_int_equal(address.value, ipv4("10.0.0.2").value + i);
	}
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	assert_int_equal(pool_claim(p, ipv4("10.0.0.0")), -ERANGE);
	assert_int_equal(pool_claim(p, ipv4("10.0.0.1")), -ERANGE);
	assert_int_equal(pool_claim(p, ipv4("10.0.0.7")), -ERANGE);
	assert_int_equal(pool_claim(p, ipv4("9.255.255.255")), -ERANGE);
	pool_free(p);
}

static void a_block_of_four_holds_one_peer_and_recovers(void **state)
{
	struct pool *p = pool("10.0.0.0/30");
	struct ipv4 address;

	(void)state;
	assert_takes(p, "10.0.0.2");
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	pool_release(p, ipv4("10.0.0.2"));
	purge(p);
	assert_takes(p, "10.0.0.2");
	pool_free(p);
}

static void unused_addresses_come_first_then_the_one_freed_longest_ago(void **state)
{
	struct pool *p = pool("10.0.0.0/29");

	(void)state;
	assert_takes(p, "10.0.0.2");
	assert_takes(p, "10.0.0.3");
	pool_release(p, ipv4("10.0.0.3"));
	pool_release(p, ipv4("10.0.0.2"));
	purge(p);
	assert_takes(p, "10.0.0.4");
	assert_takes(p, "10.0.0.5");
	assert_takes(p, "10.0.0.6");
	assert_takes(p, "10.0.0.3");
	assert_takes(p, "10.0.0.2");
	assert_int_equal(pool_taken(p), 5);
	pool_free(p);
}

static void a_claimed_address_is_not_given_to_another(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct ipv4 address;

	(void)state;
	assert_int_equal(pool_claim(p, ipv4("10.0.0.3")), 0);
	assert_int_equal(pool_claim(p, ipv4("10.0.0.3")), -EEXIST);
	assert_int_equal(pool_claim(p, ipv4("10.0.0.6")), 0);
	assert_true(pool_is_taken(p, ipv4("10.0.0.3")));
	assert_false(pool_is_taken(p, ipv4("10.0.0.2")));
	assert_false(pool_is_taken(p, ipv4("10.0.0.1")));
	assert_takes(p, "10.0.0.2");
	assert_takes(p, "10.0.0.4");
	pool_release(p, ipv4("10.0.0.6"));
	purge(p);
	assert_takes(p, "10.0.0.5");
	assert_takes(p, "10.0.0.6");
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	pool_free(p);
}

/* Against a plain array: no address is ever held twice, and none is lost. */
static void random_use_never_gives_one_address_twice(void **state)
{
	enum { SIZE = 256, STEPS = 200000 };
	struct pool *p = pool("10.0.0.0/24");
	struct ipv4 held[SIZE];
	unsigned char is_held[SIZE] = {0};
	size_t n_held = 0;
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < STEPS; i++) {
		seed = seed * 1103515245 + 12345;
		if (seed >> 16 & 1) {
			struct ipv4 address;
			int error = pool_take(p, &address);

			assert_int_equal(error, n_held == 253 ? -ENOSPC : 0);
			if (error < 0)
				continue;
			assert_false(is_held[address.value & 255]);
			is_held[address.value & 255] = 1;
			held[n_held++] = address;
		} else if (n_held > 0) {
			size_t victim = (seed >> 17) % n_held;

			pool_release(p, held[victim]);
			purge(p);
			is_held[held[victim].value & 255] = 0;
			held[victim] = held[--n_held];
		}
		assert_int_equal(pool_taken(p), n_held);
	}
	pool_free(p);
}

/* Which addresses a purge is about, as the last bytes of them. */
struct noted {
	unsigned int last_bytes[8];
	size_t n;
};

static void note(void *context, struct ipv4 address)
{
	struct noted *noted = context;

	noted->last_bytes[noted->n++] = address.value & 255;
}

static bool is_4(void *context, struct ipv4 address)
{
	(void)context;
	return (address.value & 255) == 4;
}

static void a_released_address_is_not_given_out_before_its_purge_has_ended(void **state)
{
	struct pool *p = pool("10.0.0.0/30");
	struct noted noted = {.n = 0};
	struct ipv4 address;

	(void)state;
	assert_takes(p, "10.0.0.2");
	assert_false(pool_needs_purge(p));
	pool_release(p, ipv4("10.0.0.2"));
	assert_int_equal(pool_taken(p), 0);
	assert_true(pool_needs_purge(p));
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	pool_begin_purge(p, note, &noted);
	assert_int_equal(noted.n, 1);
	assert_int_equal(noted.last_bytes[0], 2);
	assert_false(pool_needs_purge(p));
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	pool_end_purge(p, NULL, NULL);
	assert_takes(p, "10.0.0.2");
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	pool_free(p);
}

static void an_address_released_during_a_purge_waits_for_the_next_one(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct noted noted = {.n = 0};
	struct ipv4 address;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(pool_take(p, &address), 0);
	pool_release(p, ipv4("10.0.0.3"));
	pool_begin_purge(p, pass_over, NULL);
	pool_release(p, ipv4("10.0.0.5"));
	pool_end_purge(p, NULL, NULL);
	assert_takes(p, "10.0.0.3");
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	assert_true(pool_needs_purge(p));
	pool_begin_purge(p, note, &noted);
	assert_int_equal(noted.n, 1);
	assert_int_equal(noted.last_bytes[0], 5);
	pool_end_purge(p, NULL, NULL);
	assert_takes(p, "10.0.0.5");
	pool_free(p);
}

static void addresses_never_used_wait_for_the_first_purge_if_they_are_doubted(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct noted noted = {.n = 0};
	struct ipv4 address;

	(void)state;
	assert_int_equal(pool_claim(p, ipv4("10.0.0.3")), 0);
	pool_doubt_unused(p);
	assert_true(pool_needs_purge(p));
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	pool_begin_purge(p, note, &noted);
	assert_int_equal(noted.n, 4); /* not the one that is held */
	assert_false(pool_needs_purge(p));
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	pool_end_purge(p, NULL, NULL);
	assert_takes(p, "10.0.0.2");
	pool_free(p);
}

/* What is left of a server that is gone tells which addresses were used last. */
static void what_turns_out_to_have_been_used_comes_after_what_was_not(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct ipv4 address;

	(void)state;
	assert_int_equal(pool_claim(p, ipv4("10.0.0.3")), 0);
	pool_doubt_unused(p);
	pool_begin_purge(p, pass_over, NULL);
	pool_release(p, ipv4("10.0.0.3"));
	pool_end_purge(p, is_4, NULL);
	assert_takes(p, "10.0.0.2");
	assert_takes(p, "10.0.0.5");
	assert_takes(p, "10.0.0.6");
	assert_takes(p, "10.0.0.4");
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	purge(p);
	assert_takes(p, "10.0.0.3");
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	pool_free(p);
}

static void without_a_purge_unused_addresses_are_trusted_and_released_ones_are_not(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct ipv4 address;

	(void)state;
	assert_int_equal(pool_claim(p, ipv4("10.0.0.3")), 0);
	pool_doubt_unused(p);
	pool_begin_purge(p, pass_over, NULL);
	pool_release(p, ipv4("10.0.0.3"));
	pool_trust_unused(p);
	assert_takes(p, "10.0.0.2");
	assert_takes(p, "10.0.0.4");
	assert_takes(p, "10.0.0.5");
	assert_takes(p, "10.0.0.6");
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	pool_end_purge(p, is_4, NULL); /* held by now: nothing for the purge to say of it */
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	pool_free(p);
}

static void one_that_was_released_can_be_claimed_and_the_others_keep_their_order(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct ipv4 address;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(pool_take(p, &address), 0);
	pool_release(p, ipv4("10.0.0.4"));
	pool_release(p, ipv4("10.0.0.2"));
	purge(p);
	pool_release(p, ipv4("10.0.0.6"));
	pool_release(p, ipv4("10.0.0.3"));
	assert_int_equal(pool_claim_freed(p, ipv4("10.0.0.4")), 0);
	assert_int_equal(pool_claim_freed(p, ipv4("10.0.0.6")), 0);
	assert_int_equal(pool_claim_freed(p, ipv4("10.0.0.4")), -EEXIST);
	assert_int_equal(pool_claim_freed(p, ipv4("10.0.0.7")), -ERANGE);
	assert_int_equal(pool_taken(p), 3);
	assert_takes(p, "10.0.0.2");
	assert_int_equal(pool_take(p, &address), -EAGAIN);
	purge(p);
	assert_takes(p, "10.0.0.3");
	pool_free(p);
}

/* A standby is told of each. To look for every one among all that were freed would take minutes. */
static void a_million_that_were_released_are_claimed_without_a_search(void **state)
{
	enum { N = 1000 * 1000 };
	struct pool *p = pool("10.16.0.0/12");
	struct ipv4 address;

	(void)state;
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(pool_take(p, &address), 0);
	for (uint32_t i = 0; i < N; i++)
		pool_release(p, (struct ipv4){ipv4("10.16.0.2").value + i});
	for (uint32_t i = N; i-- > 0;)
		assert_int_equal(
			pool_claim_freed(p, (struct ipv4){ipv4("10.16.0.2").value + i}), 0);
	assert_int_equal(pool_taken(p), N);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network_gateway_and_broadcast_are_never_given_out),
		cmocka_unit_test(a_block_of_four_holds_one_peer_and_recovers),
		cmocka_unit_test(unused_addresses_come_first_then_the_one_freed_longest_ago),
		cmocka_unit_test(a_claimed_address_is_not_given_to_another),
		cmocka_unit_test(a_released_address_is_not_given_out_before_its_purge_has_ended),
		cmocka_unit_test(an_address_released_during_a_purge_waits_for_the_next_one),
		cmocka_unit_test(addresses_never_used_wait_for_the_first_purge_if_they_are_doubted),
		cmocka_unit_test(what_turns_out_to_have_been_used_comes_after_what_was_not),
		cmocka_unit_test(
			without_a_purge_unused_addresses_are_trusted_and_released_ones_are_not),
		cmocka_unit_test(
			one_that_was_released_can_be_claimed_and_the_others_keep_their_order),
		cmocka_unit_test(a_million_that_were_released_are_claimed_without_a_search),
		cmocka_unit_test(random_use_never_gives_one_address_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
