/*
 * Memory that workers read without a lock, and the control thread changes and frees: quiescent
 * states, as in RCU (McKenney and Slingwine 1998; Hart et al. 2007, "QSBR").
 *
 * The one writer unlinks an object with a release store, so that no new reader can find it, and
 * retires it. It is freed once every reader has since passed a point where it held no pointer that
 * it had loaded: epoch_offline(), after each batch. Nobody waits for a reader that is offline; it
 * holds nothing until epoch_online().
 *
 * Readers load pointers with memory_order_acquire. Readers never wait and never write but to a
 * cache line of their own.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cache_line.h"

struct epoch_node;
typedef void epoch_free_fn(struct epoch_node *node);

/* Lies inside what is to be freed, so that retiring cannot fail. */
struct epoch_node {
	struct epoch_node *next;
	uint64_t retired;
	epoch_free_fn *free;
};

struct epoch_reader {
	_Alignas(CACHE_LINE) _Atomic uint64_t seen; /* 0: offline */
};

struct epoch {
	_Alignas(CACHE_LINE) _Atomic uint64_t now;
	struct epoch_reader *readers;
	size_t n_readers;
	struct epoch_node *first; /* retired, oldest first; the writer's */
	struct epoch_node **last;
	size_t n_retired;
};

/* All readers are offline at first. Returns 0 or -ENOMEM. */
int epoch_init(struct epoch *epoch, size_t n_readers);
/* Frees all that was retired; there are no readers any more. */
void epoch_free(struct epoch *epoch);

/* By the reader's thread: between the two it may hold what it has loaded, and nothing after. */
void epoch_online(struct epoch *epoch, size_t reader);
static inline void epoch_offline(struct epoch *epoch, size_t reader)
{
	atomic_store_explicit(&epoch->readers[reader].seen, 0, memory_order_release);
}

/* By the writer's thread only, after it has unlinked the object. */
void epoch_retire(struct epoch *epoch, struct epoch_node *node, epoch_free_fn *free);
/* Frees what no reader can hold any more. Cheap; to be called now and then, and while
 * epoch->n_retired is not zero. Returns how many are left. */
size_t epoch_reclaim(struct epoch *epoch);
