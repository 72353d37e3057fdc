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

struct source *sources_acquire(
	struct sources *sources, const struct in6_addr *address, unsigned int max)
{
	struct hash_node *node = hash_find(&sources->table, address, sizeof *address, has_address);
	struct source *source = node ? hash_entry(node, struct source, node) : NULL;

	if (source && source->connections >= max)
		return NULL;
	if (!source) {
		source = calloc(1, sizeof *source);
		if (!source)
			return NULL;
		source->address = *address;
		fair_lane_init(&source->handshakes);
		TAILQ_INIT(&source->held);
		hash_insert(&sources->table, &source->node, address, sizeof *address);
	}
	source->connections++;
	return source;
}

void sources_release(struct sources *sources, struct source *source)
{
	if (--source->connections > 0)
		return;
	hash_remove(&sources->table, &source->node);
	free(source);
}
