#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/wireguard/allowedips.h"
#include "device/wireguard/allowedips_lookup.h"
#include "random.h"

static struct epoch epoch;
static struct allowedips table;

enum { N_OWNERS = 20 };
static struct allowedips_owner owners[N_OWNERS];

static int set_up(void **state)
{
	(void)state;
	epoch_init(&epoch, 1);
	allowedips_init(&table, &epoch);
	memset(owners, 0, sizeof owners);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	allowedips_free(&table);
	for (size_t i = 0; i < N_OWNERS; i++)
		assert_null(owners[i].first);
	epoch_free(&epoch);
	return 0;
}

/* "10.0.0.0/8" or "fd00::/8" */
static int family_of(const char *text, uint8_t address[16], uint8_t *length)
{
	char host[64];
	unsigned int n;

	assert_int_equal(sscanf(text, "%63[^/]/%u", host, &n), 2);
	*length = (uint8_t)n;
	if (inet_pton(AF_INET, host, address) == 1)
		return AF_INET;
	assert_int_equal(inet_pton(AF_INET6, host, address), 1);
	return AF_INET6;
}

static void give(const char *text, int owner)
{
	uint8_t address[16], length;
	int family = family_of(text, address, &length);

	assert_int_equal(allowedips_insert(&table, family, address, length, &owners[owner]), 0);
}

static int take(const char *text, int owner)
{
	uint8_t address[16], length;
	int family = family_of(text, address, &length);

	return allowedips_remove(&table, family, address, length, &owners[owner]);
}

/* The number of the owner, -1: nobody. */
static int number_of(const struct allowedips_owner *owner)
{
	return owner ? (int)(owner - owners) : -1;
}

static int owner_of(const char *text)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, text, &four) == 1)
		return number_of(allowedips_lookup4(&table, &four));
	assert_int_equal(inet_pton(AF_INET6, text, &six), 1);
	return number_of(allowedips_lookup6(&table, &six));
}

static void the_longest_prefix_counts(void **state)
{
	(void)state;
	give("10.0.0.0/8", 0);
	give("10.1.0.0/16", 1);
	give("10.1.2.0/24", 2);
	give("10.1.2.3/32", 3);
	give("0.0.0.0/0", 4);
	give("10.1.2.0/23", 5);
	assert_int_equal(owner_of("10.2.0.1"), 0);
	assert_int_equal(owner_of("10.1.0.1"), 1);
	assert_int_equal(owner_of("10.1.2.1"), 2);
	assert_int_equal(owner_of("10.1.2.3"), 3);
	assert_int_equal(owner_of("10.1.3.3"), 5);
	assert_int_equal(owner_of("11.0.0.0"), 4);
	assert_int_equal(take("0.0.0.0/0", 4), 0);
	assert_int_equal(owner_of("11.0.0.0"), -1);
	give("2001:db8::/32", 6);
	give("2001:db8::1/128", 7);
	give("::/0", 8);
	assert_int_equal(owner_of("2001:db8::1"), 7);
	assert_int_equal(owner_of("2001:db8::2"), 6);
	assert_int_equal(owner_of("2001:db9::2"), 8);
	assert_int_equal(owner_of("11.0.0.0"), -1);
	assert_int_equal(table.count, 8);
}

static void a_prefix_given_to_another_is_taken_from_the_first(void **state)
{
	struct allowed_ip prefix;

	(void)state;
	give("10.0.0.1/32", 0);
	give("10.0.0.2/32", 0);
	give("10.0.0.1/32", 1);
	assert_int_equal(owner_of("10.0.0.1"), 1);
	assert_int_equal(owner_of("10.0.0.2"), 0);
	assert_int_equal(table.count, 2);
	assert_non_null(allowedips_next(&owners[1], NULL, &prefix));
	assert_int_equal(prefix.address[3], 1);
	assert_int_equal(take("10.0.0.1/32", 0), -ENOENT);
	assert_int_equal(take("10.0.0.1/32", 1), 0);
	assert_int_equal(take("10.0.0.1/32", 1), -ENOENT);
	assert_int_equal(owner_of("10.0.0.1"), -1);
}

static void all_prefixes_of_an_owner_are_walked(void **state)
{
	const struct allowedips_entry *entry = NULL;
	struct allowed_ip prefix;
	bool four = false, six = false;
	int n = 0;

	(void)state;
	give("10.9.8.7/20", 3); /* host bits are masked off */
	give("fd00::5/64", 3);
	give("10.9.8.7/32", 2);
	while ((entry = allowedips_next(&owners[3], entry, &prefix))) {
		static const uint8_t v4[] = {10, 9, 0, 0};
		static const uint8_t v6[16] = {0xfd};

		n++;
		four |= prefix.family == AF_INET && prefix.length == 20 &&
			memcmp(prefix.address, v4, 4) == 0;
		six |= prefix.family == AF_INET6 && prefix.length == 64 &&
		       memcmp(prefix.address, v6, 16) == 0;
	}
	assert_int_equal(n, 2);
	assert_true(four && six);
	allowedips_remove_all(&table, &owners[3]);
	assert_null(allowedips_next(&owners[3], NULL, &prefix));
	assert_int_equal(table.count, 1);
	assert_int_equal(owner_of("10.9.8.7"), 2);
	assert_int_equal(owner_of("10.9.8.6"), -1);
}

static void what_is_no_prefix_is_refused(void **state)
{
	uint8_t address[16] = {0};

	(void)state;
	assert_int_equal(allowedips_insert(&table, AF_INET, address, 33, &owners[0]), -EINVAL);
	assert_int_equal(allowedips_insert(&table, AF_INET6, address, 129, &owners[0]), -EINVAL);
	assert_int_equal(allowedips_insert(&table, AF_UNSPEC, address, 0, &owners[0]), -EINVAL);
	assert_int_equal(allowedips_remove(&table, AF_INET, address, 33, &owners[0]), -EINVAL);
	assert_int_equal(table.count, 0);
}

static void packets_are_looked_up_by_what_their_headers_say(void **state)
{
	uint8_t four[20] = {0x45}, six[40] = {0x60};

	(void)state;
	give("10.0.0.1/32", 1);
	give("10.0.0.2/32", 2);
	give("fd00::1/128", 3);
	give("fd00::2/128", 4);
	inet_pton(AF_INET, "10.0.0.1", four + 12);
	inet_pton(AF_INET, "10.0.0.2", four + 16);
	inet_pton(AF_INET6, "fd00::1", six + 8);
	inet_pton(AF_INET6, "fd00::2", six + 24);
	assert_int_equal(number_of(allowedips_lookup_source(&table, four, 20)), 1);
	assert_int_equal(number_of(allowedips_lookup_destination(&table, four, 20)), 2);
	assert_int_equal(number_of(allowedips_lookup_source(&table, six, 40)), 3);
	assert_int_equal(number_of(allowedips_lookup_destination(&table, six, 40)), 4);
	for (size_t n = 0; n < 20; n++)
		assert_null(allowedips_lookup_source(&table, four, n));
	for (size_t n = 0; n < 40; n++)
		assert_null(allowedips_lookup_destination(&table, six, n));
	four[0] = 0x55;
	assert_null(allowedips_lookup_source(&table, four, 20));
}

/* The same by a list. */
struct naive_prefix {
	uint8_t address[16];
	uint8_t length;
	int owner;
};
enum { MAX_NAIVE = 3000 };
struct naive {
	struct naive_prefix prefixes[MAX_NAIVE];
	size_t n;
};

static bool covers(const struct naive_prefix *prefix, const uint8_t *address)
{
	for (int i = 0; i < prefix->length; i++)
		if ((prefix->address[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static struct naive_prefix *naive_find(struct naive *naive, const uint8_t *address, uint8_t length)
{
	for (size_t i = 0; i < naive->n; i++)
		if (naive->prefixes[i].length == length && covers(&naive->prefixes[i], address))
			return &naive->prefixes[i];
	return NULL;
}

static int naive_lookup(const struct naive *naive, const uint8_t *address)
{
	const struct naive_prefix *best = NULL;

	for (size_t i = 0; i < naive->n; i++)
		if (covers(&naive->prefixes[i], address) &&
			(!best || naive->prefixes[i].length > best->length))
			best = &naive->prefixes[i];
	return best ? best->owner : -1;
}

static void random_address(struct random *random, int bytes, uint8_t address[16])
{
	/* Few different values of each byte, so that prefixes nest and addresses hit. */
	for (int i = 0; i < bytes; i++)
		address[i] = (uint8_t)(random_below(random, 3) == 0 ? random_next(random)
								    : random_below(random, 3) * 85);
}

static int trie_lookup(int family, const uint8_t *address)
{
	return number_of(family == AF_INET ? allowedips_lookup4(&table, (const void *)address)
					   : allowedips_lookup6(&table, (const void *)address));
}

static void remove_all_of(struct naive *naive, int owner)
{
	size_t n = 0;

	allowedips_remove_all(&table, &owners[owner]);
	for (size_t i = 0; i < naive->n; i++)
		if (naive->prefixes[i].owner != owner)
			naive->prefixes[n++] = naive->prefixes[i];
	naive->n = n;
}

static void random_step(struct naive *naive, struct random *random, int family)
{
	int bytes = family == AF_INET ? 4 : 16, owner = (int)random_below(random, N_OWNERS);
	uint8_t length = (uint8_t)random_below(random, 8 * (uint64_t)bytes + 1);
	struct naive_prefix *found;
	uint8_t address[16] = {0};

	random_address(random, bytes, address);
	if (random_below(random, 2))
		length = (uint8_t)(8 * bytes);
	found = naive_find(naive, address, length);
	if (random_below(random, 3) && naive->n < MAX_NAIVE) {
		assert_int_equal(
			allowedips_insert(&table, family, address, length, &owners[owner]), 0);
		if (!found) {
			found = &naive->prefixes[naive->n++];
			memcpy(found->address, address, 16);
			found->length = length;
		}
		found->owner = owner;
	} else if (naive->n > 0) {
		if (!found)
			found = &naive->prefixes[random_below(random, naive->n)];
		assert_int_equal(allowedips_remove(&table, family, found->address, found->length,
					 &owners[found->owner]),
			0);
		*found = naive->prefixes[--naive->n];
	}
	if (random_below(random, 500) == 0)
		remove_all_of(naive, owner);
}

static void compare_with_naive(int family, uint64_t seed, int steps)
{
	struct naive *naive = calloc(1, sizeof(*naive));
	struct random random = {seed};

	for (int i = 0; i < steps; i++) {
		random_step(naive, &random, family);
		assert_int_equal(table.count, naive->n);
		for (int j = 0; j < 4; j++) {
			uint8_t address[16] = {0};

			random_address(&random, family == AF_INET ? 4 : 16, address);
			assert_int_equal(
				trie_lookup(family, address), naive_lookup(naive, address));
		}
		if (i % 64 == 0)
			epoch_reclaim(&epoch);
	}
	for (int i = 0; i < N_OWNERS; i++)
		remove_all_of(naive, i);
	assert_int_equal(table.count, 0);
	assert_int_equal(table.root4, 0);
	assert_int_equal(table.root6, 0);
	free(naive);
}

static void random_changes_of_ipv4_are_as_in_a_list(void **state)
{
	(void)state;
	compare_with_naive(AF_INET, 1, 6000);
	compare_with_naive(AF_INET, 2, 3000);
}

static void random_changes_of_ipv6_are_as_in_a_list(void **state)
{
	(void)state;
	compare_with_naive(AF_INET6, 3, 4000);
}

static void a_hundred_thousand_prefixes_are_held(void **state)
{
	enum { N = 100000 };

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		uint32_t address = htonl(0x0a000000 + i * 7);

		assert_int_equal(
			allowedips_insert(&table, AF_INET, &address, 32, &owners[i % N_OWNERS]), 0);
		if (i % 1024 == 0)
			epoch_reclaim(&epoch);
	}
	for (uint32_t i = 0; i < 7 * N; i++) {
		struct in_addr address = {htonl(0x0a000000 + i)};

		assert_int_equal(number_of(allowedips_lookup4(&table, &address)),
			i % 7 ? -1 : (int)(i / 7 % N_OWNERS));
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_longest_prefix_counts),
		test(a_prefix_given_to_another_is_taken_from_the_first),
		test(all_prefixes_of_an_owner_are_walked),
		test(what_is_no_prefix_is_refused),
		test(packets_are_looked_up_by_what_their_headers_say),
		test(random_changes_of_ipv4_are_as_in_a_list),
		test(random_changes_of_ipv6_are_as_in_a_list),
		test(a_hundred_thousand_prefixes_are_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
