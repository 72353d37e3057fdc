/* Epochs for the workers of a device: retired memory is freed once no worker can still read it.
 * Called by the workers and by the thread that writes, lock-free for the workers. */
#include "base/epoch.h"

#include <errno.h>
#include <string.h>

/* Epochs count from 1: 0 marks a reader that is offline. */
static const uint64_t FIRST_EPOCH = 1;

int epoch_init(struct epoch *epoch, size_t n_readers)
{
	memset(epoch, 0, sizeof *epoch);
	atomic_init(&epoch->now, FIRST_EPOCH);
	epoch->last = &epoch->first;
	epoch->n_readers = n_readers;
	if (n_readers == 0)
		return 0;
	epoch->readers = cache_line_calloc(n_readers, sizeof(*epoch->readers));
	return epoch->readers ? 0 : -ENOMEM;
}

void epoch_free(struct epoch *epoch)
{
	/* A free function may retire something more. */
	while (epoch->first) {
		for (size_t i = 0; i < epoch->n_readers; i++)
			epoch_offline(epoch, i);
		epoch_reclaim(epoch);
	}
	cache_line_free(epoch->readers);
	epoch->readers = NULL;
	epoch->n_readers = 0;
}

void epoch_online(struct epoch *epoch, size_t reader)
{
	_Atomic uint64_t *seen = &epoch->readers[reader].seen;
	uint64_t now;

	/* The writer unlinks, moves the epoch on, then reads `seen`. In the single order of
	 * these four accesses either it finds us online, or we find the epoch moved on, and with it
	 * what was unlinked before. */
	do {
		now = atomic_load_explicit(&epoch->now, memory_order_seq_cst);
		atomic_store_explicit(seen, now, memory_order_seq_cst);
	} while (atomic_load_explicit(&epoch->now, memory_order_seq_cst) != now);
}

void epoch_retire(struct epoch *epoch, struct epoch_node *node, epoch_free_fn *free)
{
	node->next = NULL;
	node->free = free;
	/* Whoever has seen the new epoch has seen the unlinking, which came before. */
	node->retired = atomic_fetch_add_explicit(&epoch->now, 1, memory_order_seq_cst) + 1;
	*epoch->last = node;
	epoch->last = &node->next;
	epoch->n_retired++;
}

static uint64_t oldest_seen(struct epoch *epoch)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < epoch->n_readers; i++) {
		uint64_t seen = atomic_load_explicit(&epoch->readers[i].seen, memory_order_seq_cst);

		if (seen != 0 && seen < oldest)
			oldest = seen;
	}
	return oldest;
}

size_t epoch_reclaim(struct epoch *epoch)
{
	uint64_t oldest = epoch->first ? oldest_seen(epoch) : 0;

	while (epoch->first && epoch->first->retired <= oldest) {
		struct epoch_node *node = epoch->first;

		epoch->first = node->next;
		if (!epoch->first)
			epoch->last = &epoch->first;
		epoch->n_retired--;
		node->free(node);
	}
	return epoch->n_retired;
}
