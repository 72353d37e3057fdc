#include "test.h"

#include <errno.h>

#include "server/pool.h"

static struct ipv4 ip(const char *text)
{
	struct ipv4 address;

	assert_int_equal(ipv4_parse(text, &address), 0);
	return address;
}

static struct pool *pool(const char *block)
{
	struct prefix prefix;
	struct pool *pool;

	assert_int_equal(prefix_parse(block, &prefix), 0);
	assert_int_equal(pool_new(prefix, &pool), 0);
	return pool;
}

static void assert_takes(struct pool *p, const char *expected)
{
	struct ipv4 address;

	assert_int_equal(pool_take(p, &address), 0);
	assert_string_equal(ipv4_text(address).s, expected);
}

static void network_gateway_and_broadcast_are_never_given_out(void **state)
{
	struct pool *p = pool("10.0.0.0/29");
	struct ipv4 address;

	(void)state;
	assert_int_equal(pool_capacity(p), 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(pool_take(p, &address), 0);
		assert_int_equal(address.value, ip("10.0.0.2").value + i);
	}
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	assert_int_equal(pool_claim(p, ip("10.0.0.0")), -ERANGE);
	assert_int_equal(pool_claim(p, ip("10.0.0.1")), -ERANGE);
	assert_int_equal(pool_claim(p, ip("10.0.0.7")), -ERANGE);
	assert_int_equal(pool_claim(p, ip("9.255.255.255")), -ERANGE);
	pool_free(p);
}

static void a_block_of_four_holds_one_peer_and_recovers(void **state)
{
	struct pool *p = pool("10.0.0.0/30");
	struct ipv4 address;

	(void)state;
	assert_takes(p, "10.0.0.2");
	assert_int_equal(pool_take(p, &address), -ENOSPC);
	pool_release(p, ip("10.0.0.2"));
	assert_takes(p, "10.0.0.2");
	pool_free(p);
}

static void unused_addresses_come_first_then_the_one_freed_longest_ago(void **state)
{
	struct pool *p = pool("10.0.0.0/29");

	(void)state;
	assert_takes(p, "10.0.0.2");
	assert_takes(p, "10.0.0.3");
	pool_release(p, ip("10.0.0.3"));
	pool_release(p, ip("10.0.0.2"));
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
	assert_int_equal(pool_claim(p, ip("10.0.0.3")), 0);
	assert_int_equal(pool_claim(p, ip("10.0.0.3")), -EEXIST);
	assert_int_equal(pool_claim(p, ip("10.0.0.6")), 0);
	assert_takes(p, "10.0.0.2");
	assert_takes(p, "10.0.0.4");
	pool_release(p, ip("10.0.0.6"));
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
			is_held[held[victim].value & 255] = 0;
			held[victim] = held[--n_held];
		}
		assert_int_equal(pool_taken(p), n_held);
	}
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network_gateway_and_broadcast_are_never_given_out),
		cmocka_unit_test(a_block_of_four_holds_one_peer_and_recovers),
		cmocka_unit_test(unused_addresses_come_first_then_the_one_freed_longest_ago),
		cmocka_unit_test(a_claimed_address_is_not_given_to_another),
		cmocka_unit_test(random_use_never_gives_one_address_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
