/*
 * A hash table of nodes that live inside their owners' structs. The hash is keyed with random bytes
 * (SipHash-2-4, Aumasson and Bernstein 2012), so that those who choose the keys cannot choose the
 * bucket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};

struct hash_table {
	struct hash_node **buckets;
	size_t n_buckets; /* a power of two */
	size_t count;
	uint64_t seed[2];
};

/* The owner of a node. */
#define hash_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* Returns 0, -ENOMEM or -EIO (no randomness). */
int hash_init(struct hash_table *table);
/* Frees the table, not the owners of the nodes in it. */
void hash_free(struct hash_table *table);

uint64_t hash_bytes(const struct hash_table *table, const void *data, size_t length);

/* True if the node's owner has the key. */
typedef bool hash_match(const struct hash_node *node, const void *key);

/* NULL if there is none. The key's bytes are what is hashed. */
struct hash_node *hash_find(
	const struct hash_table *table, const void *key, size_t length, hash_match *match);
/* Never fails: a table that cannot grow gets slower. The key must not be in the table yet. */
void hash_insert(struct hash_table *table, struct hash_node *node, const void *key, size_t length);
/* The node must be in the table. */
void hash_remove(struct hash_table *table, struct hash_node *node);

/* Walks all nodes in no order; node == NULL starts. Removing the returned node ends the walk's
 * validity. */
struct hash_node *hash_next(const struct hash_table *table, const struct hash_node *node);

/*
 * A walk in several pieces, between which nodes may come and go and the table may grow. Who is
 * there from its begin to its end is met once. Zeroed, it is at its begin.
 */
struct hash_walk {
	size_t bucket;
	bool is_over;
};
/* The first node of the next bucket, from which `next` leads to its others; NULL: it has none. To
 * be called until the walk is over. */
struct hash_node *hash_walk_next(const struct hash_table *table, struct hash_walk *walk);

#define hash_for_each(table, node)                                                                 \
	for (struct hash_node *node = hash_next(table, NULL),                                      \
			      *node##_next = node ? hash_next(table, node) : NULL;                 \
		node; node = node##_next, node##_next = node ? hash_next(table, node) : NULL)
