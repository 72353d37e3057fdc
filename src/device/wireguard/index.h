/*
 * From the 32-bit index that the other side puts into its messages (paper, 5.4: I_m, "receiver") to
 * what we gave it for. Workers look up without a lock; the control thread changes.
 *
 * The table is an array with a power of two of places; an index is a random number whose low bits
 * are its place. When the table doubles, each index simply uses one more of its bits, so that two
 * never meet in one place, and there are no chains.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/epoch.h"

enum index_kind {
	INDEX_HANDSHAKE, /* we are the initiator and wait for the response */
	INDEX_KEYPAIR,
};

/* Lies inside a handshake or a keypair. */
struct index_entry {
	uint32_t index;
	enum index_kind kind;
};

struct index_places;

struct index_table {
	_Atomic(struct index_places *) places;
	uint32_t count;
	struct epoch *epoch;
	int (*random)(void *bytes, size_t length); /* returns 0 or -EIO */
};

int index_init(
	struct index_table *table, struct epoch *epoch, int (*random)(void *bytes, size_t length));
void index_free(struct index_table *table);

/* By any thread, within its epoch: what has this index, or NULL. */
struct index_entry *index_lookup(const struct index_table *table, uint32_t index);

/* By the control thread. An index that is free until the next call of this table's functions.
 * Returns 0, -ENOMEM or -EIO. */
int index_choose(struct index_table *table, uint32_t *index);
/* Publishes an entry under its index, which index_choose() has given. It must be ready for use. */
void index_publish(struct index_table *table, struct index_entry *entry);
/* Publishes an entry under an index that another table of ours has given. Returns 0, -EEXIST or
 * -ENOMEM. */
int index_adopt(struct index_table *table, struct index_entry *entry);
/* The new entry takes over the old one's index, in one step. */
void index_replace(
	struct index_table *table, const struct index_entry *old, struct index_entry *entry);
/* An entry that is not in the table is left alone. What it lies in may then be retired. */
void index_remove(struct index_table *table, const struct index_entry *entry);
