#include "test.h"

#include <stdlib.h>

#include "base/hash.h"

struct owner {
	uint32_t key;
	struct hash_node node;
};

static bool has_key(const struct hash_node *node, const void *key)
{
	return hash_entry(node, const struct owner, node)->key == *(const uint32_t *)key;
}

/* The SipHash paper, appendix A: key 00 01 ... 0f, message 00 01 ... 0e. */
static void the_hash_is_siphash_2_4(void **state)
{
	struct hash_table table = {
		.seed = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
	uint8_t message[15];

	(void)state;
	for (uint8_t i = 0; i < sizeof message; i++)
		message[i] = i;
	assert_true(hash_bytes(&table, message, sizeof message) == UINT64_C(0xa129ca6149be45e5));
}

static void what_was_put_in_is_found_until_it_is_taken_out(void **state)
{
	enum { N = 5000 };
	struct owner *owners = calloc(N, sizeof *owners);
	struct hash_table table;
	size_t n_walked = 0;

	(void)state;
	assert_int_equal(hash_init(&table), 0);
	for (uint32_t i = 0; i < N; i++) {
		owners[i].key = i;
		hash_insert(&table, &owners[i].node, &owners[i].key, sizeof owners[i].key);
	}
	for (uint32_t i = 0; i < N; i++)
		assert_ptr_equal(hash_find(&table, &i, sizeof i, has_key), &owners[i].node);
	for (uint32_t i = 0; i < N; i += 2)
		hash_remove(&table, &owners[i].node);
	for (uint32_t i = 0; i < N; i++)
		assert_ptr_equal(
			hash_find(&table, &i, sizeof i, has_key), i % 2 ? &owners[i].node : NULL);
	hash_for_each (&table, node)
		n_walked++;
	assert_int_equal(n_walked, N / 2);
	assert_int_equal(table.count, N / 2);
	hash_free(&table);
	free(owners);
}

static void an_empty_table_can_be_walked_and_freed(void **state)
{
	struct hash_table table;

	(void)state;
	assert_int_equal(hash_init(&table), 0);
	hash_for_each (&table, node)
		fail();
	hash_free(&table);
}

/* The table grows several times, and others come and go. */
static void who_is_there_for_the_whole_of_a_walk_is_met_once(void **state)
{
	enum { N = 1000, N_LATER = 8000 };
	struct owner *owners = calloc(N + N_LATER, sizeof *owners);
	unsigned int *met = calloc(N + N_LATER, sizeof *met);
	struct hash_walk walk = {0};
	struct hash_table table;
	uint32_t last = N;

	(void)state;
	assert_int_equal(hash_init(&table), 0);
	for (uint32_t i = 0; i < N + N_LATER; i++)
		owners[i].key = i;
	for (uint32_t i = 0; i < N; i++)
		hash_insert(&table, &owners[i].node, &owners[i].key, sizeof owners[i].key);
	for (uint32_t n = 0; !walk.is_over; n++) {
		for (struct hash_node *node = hash_walk_next(&table, &walk); node;
			node = node->next)
			met[hash_entry(node, struct owner, node)->key]++;
		if (n < N / 2)
			hash_remove(&table, &owners[2 * n].node);
		for (int i = 0; i < 16 && last < N + N_LATER; i++, last++)
			hash_insert(&table, &owners[last].node, &owners[last].key,
				sizeof owners[last].key);
	}
	for (uint32_t i = 0; i < N; i++)
		assert_in_range(met[i], i % 2, 1);
	for (uint32_t i = N; i < last; i++)
		assert_in_range(met[i], 0, 1);
	hash_free(&table);
	free(owners);
	free(met);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_there_for_the_whole_of_a_walk_is_met_once),
		cmocka_unit_test(the_hash_is_siphash_2_4),
		cmocka_unit_test(what_was_put_in_is_found_until_it_is_taken_out),
		cmocka_unit_test(an_empty_table_can_be_walked_and_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
