/* Hash tables of nodes that their owners hold. Not locked: a table belongs to one thread. */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	INITIAL_BUCKETS = 16,
};

static inline uint64_t rotate_left(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate_left(v[1], 13) ^ v[0];
	v[0] = rotate_left(v[0], 32);
	v[2] += v[3];
	v[3] = rotate_left(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate_left(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate_left(v[1], 17) ^ v[2];
	v[2] = rotate_left(v[2], 32);
}

/* Little-endian, as the paper has it; fewer than eight bytes are filled up with zeros. */
static uint64_t load_le64(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

/* SipHash-2-4: section 2 of the paper. */
static uint64_t siphash(const uint64_t key[2], const uint8_t *data, size_t length)
{
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};
	size_t left = length;

	for (;;) {
		size_t n = left < 8 ? left : 8;
		uint64_t word = load_le64(data, n);

		if (n < 8)
			word |= (uint64_t)length << 56;
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
		if (n < 8)
			break;
		data += 8;
		left -= 8;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int hash_init(struct hash_table *table)
{
	*table = (struct hash_table){.n_buckets = INITIAL_BUCKETS};
	if (getrandom(table->seed, sizeof table->seed, 0) != sizeof table->seed)
		return -EIO;
	table->buckets = calloc(table->n_buckets, sizeof(*table->buckets));
	return table->buckets ? 0 : -ENOMEM;
}

void hash_free(struct hash_table *table)
{
	free(table->buckets);
	*table = (struct hash_table){0};
}

uint64_t hash_bytes(const struct hash_table *table, const void *data, size_t length)
{
	return siphash(table->seed, data, length);
}

static struct hash_node **bucket_of(const struct hash_table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->n_buckets - 1)];
}

struct hash_node *hash_find(
	const struct hash_table *table, const void *key, size_t length, hash_match *match)
{
	uint64_t hash = hash_bytes(table, key, length);

	for (struct hash_node *node = *bucket_of(table, hash); node; node = node->next)
		if (node->hash == hash && match(node, key))
			return node;
	return NULL;
}

static void grow(struct hash_table *table)
{
	struct hash_table larger = *table;

	larger.n_buckets = table->n_buckets * 2;
	larger.buckets = calloc(larger.n_buckets, sizeof(*larger.buckets));
	if (!larger.buckets)
		return;
	for (size_t i = 0; i < table->n_buckets; i++) {
		for (struct hash_node *node = table->buckets[i], *next; node; node = next) {
			struct hash_node **bucket = bucket_of(&larger, node->hash);

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	}
	free(table->buckets);
	*table = larger;
}

void hash_insert(struct hash_table *table, struct hash_node *node, const void *key, size_t length)
{
	if (table->count >= table->n_buckets)
		grow(table);
	node->hash = hash_bytes(table, key, length);

	struct hash_node **bucket = bucket_of(table, node->hash);

	node->next = *bucket;
	*bucket = node;
	table->count++;
}

void hash_remove(struct hash_table *table, struct hash_node *node)
{
	struct hash_node **link = bucket_of(table, node->hash);

	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	table->count--;
}

struct hash_node *hash_next(const struct hash_table *table, const struct hash_node *node)
{
	size_t i = 0;

	if (node) {
		if (node->next)
			return node->next;
		i = (node->hash & (table->n_buckets - 1)) + 1;
	}
	for (; i < table->n_buckets; i++)
		if (table->buckets[i])
			return table->buckets[i];
	return NULL;
}

static size_t reverse_bits(size_t value)
{
	size_t reversed = 0;

	for (size_t bit = 0; bit < 8 * sizeof value; bit++, value >>= 1)
		reversed = reversed << 1 | (value & 1);
	return reversed;
}

/*
 * Buckets are taken in the order of their numbers read from the last bit to the first. Where the
 * table grows, the nodes of a bucket go to two whose numbers differ in a further bit in front: in
 * this order they stand where the one stood.
 */
struct hash_node *hash_walk_next(const struct hash_table *table, struct hash_walk *walk)
{
	const size_t mask = table->n_buckets - 1;
	struct hash_node *first = table->buckets[walk->bucket & mask];

	walk->bucket = reverse_bits(reverse_bits(walk->bucket | ~mask) + 1);
	walk->is_over = walk->bucket == 0;
	return first;
}
