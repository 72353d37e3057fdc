/* Counts an endpoint's peers by source address. Runs in the broker. */
#include "server/peer_sources.h"

#include <errno.h>
#include <stdlib.h>

struct peer_source {
	struct hash_node node;
	struct ipv4 address;
	uint32_t peers;
};

int peer_sources_init(struct peer_sources *sources)
{
	return hash_init(&sources->table);
}

void peer_sources_free(struct peer_sources *sources)
{
	hash_for_each (&sources->table, node)
		free(hash_entry(node, struct peer_source, node));
	hash_free(&sources->table);
}

static bool has_address(const struct hash_node *node, const void *key)
{
	return ipv4_equal(
		hash_entry(node, struct peer_source, node)->address, *(const struct ipv4 *)key);
}

static struct peer_source *find(const struct peer_sources *sources, struct ipv4 address)
{
	struct hash_node *node = hash_find(&sources->table, &address, sizeof address, has_address);

	return node ? hash_entry(node, struct peer_source, node) : NULL;
}

int peer_sources_add(struct peer_sources *sources, struct ipv4 address)
{
	struct peer_source *source = find(sources, address);

	if (!source) {
		source = calloc(1, sizeof *source);
		if (!source)
			return -ENOMEM;
		source->address = address;
		hash_insert(&sources->table, &source->node, &address, sizeof address);
	}
	source->peers++;
	return 0;
}

void peer_sources_remove(struct peer_sources *sources, struct ipv4 address)
{
	struct peer_source *source = find(sources, address);

	if (!source || --source->peers > 0)
		return;
	hash_remove(&sources->table, &source->node);
	free(source);
}

uint32_t peer_sources_count(const struct peer_sources *sources, struct ipv4 address)
{
	const struct peer_source *source = find(sources, address);

	return source ? source->peers : 0;
}
