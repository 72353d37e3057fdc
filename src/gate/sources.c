/* Counts connections by source address. Runs in the gate. */
#include "gate/sources.h"

#include <stdlib.h>

int sources_init(struct sources *sources)
{
	return hash_init(&sources->table);
}

void sources_free(struct sources *sources)
{
	hash_for_each (&sources->table, node) {
		hash_remove(&sources->table, node);
		free(hash_entry(node, struct source, node));
	}
	hash_free(&sources->table);
}

static bool has_address(const struct hash_node *node, const void *key)
{
	const struct in6_addr *address = key;

	return IN6_ARE_ADDR_EQUAL(&hash_entry(node, struct source, node)->address, address);
}

static struct source *find_or_make(struct sources *sources, const struct in6_addr *address)
{
	struct hash_node *node = hash_find(&sources->table, address, sizeof *address, has_address);
	struct source *source = node ? hash_entry(node, struct source, node) : NULL;

	if (source)
		return source;
	source = calloc(1, sizeof *source);
	if (!source)
		return NULL;
	source->address = *address;
	fair_lane_init(&source->handshakes);
	fair_lane_init(&source->calls);
	TAILQ_INIT(&source->held);
	hash_insert(&sources->table, &source->node, address, sizeof *address);
	return source;
}

enum {
	/* Of the connections of a source: a part of so many is never one gate's alone. So one that
	 * was taken over, and counts what it does not have, keeps nobody out of the others. */
	RESERVED_PART = 8,
};

static uint32_t most_at_one_gate(const struct sources *sources, unsigned int max)
{
	return sources->counts.n_others > 0 ? max - max / RESERVED_PART : max;
}

/* It is counted before it is compared: two gates that do so at the same time may both find one too
 * many, but never one too few. */
struct source *sources_acquire(
	struct sources *sources, const struct in6_addr *address, unsigned int max)
{
	struct source *source = find_or_make(sources, address);
	const uint32_t most = most_at_one_gate(sources, max);

	if (!source)
		return NULL;
	source->connections++;
	source_counts_add(&sources->counts, address);
	if (source->connections <= most && source_counts_elsewhere(&sources->counts, address,
						   most) <= max - source->connections)
		return source;
	sources_release(sources, source);
	return NULL;
}

void sources_release(struct sources *sources, struct source *source)
{
	source_counts_remove(&sources->counts, &source->address);
	if (--source->connections > 0)
		return;
	hash_remove(&sources->table, &source->node);
	free(source);
}
