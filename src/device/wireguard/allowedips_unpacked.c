#include "device/wireguard/allowedips_unpacked.h"

#include <stdlib.h>

void spread_node(const struct node *node, struct spread *spread)
{
	unsigned int at = 0;

	*spread = (struct spread){.key = node->key, .depth = node->depth};
	for (unsigned int i = 0; i < FANOUT; i++)
		if (node->children >> i & 1)
			spread->children[i] = load(&node->places[at++]);
	for (unsigned int i = 0; i < FANOUT; i++)
		if (node->prefixes >> i & 1)
			spread->prefixes[i] = load(&node->places[at++]);
}

struct node *spread_pack(const struct spread *spread)
{
	unsigned int n = 0, at = 0;
	struct node *node;

	for (unsigned int i = 0; i < FANOUT; i++)
		n += (spread->children[i] != 0) + (spread->prefixes[i] != 0);
	node = malloc(offsetof(struct node, places) + n * sizeof(node->places[0]));
	if (!node)
		return NULL;
	node->key = spread->key;
	node->depth = (int8_t)spread->depth;
	node->children = node->prefixes = 0;
	for (unsigned int i = 0; i < FANOUT; i++) {
		if (!spread->children[i])
			continue;
		node->children |= UINT64_C(1) << i;
		atomic_init(&node->places[at++], spread->children[i]);
	}
	for (unsigned int i = 0; i < FANOUT; i++) {
		if (!spread->prefixes[i])
			continue;
		node->prefixes |= UINT64_C(1) << i;
		atomic_init(&node->places[at++], spread->prefixes[i]);
	}
	return node;
}

place *spread_place(struct spread *spread, struct prefix_bits prefix)
{
	return prefix.length < spread->depth + STRIDE
		       ? &spread->prefixes[number_at(prefix, spread->depth)]
		       : &spread->children[chunk_at(prefix.key, spread->depth)];
}

place spread_only(const struct spread *spread)
{
	place only = 0;

	for (unsigned int i = 0; i < FANOUT; i++) {
		const place both[] = {spread->children[i], spread->prefixes[i]};

		for (int j = 0; j < 2; j++) {
			if (both[j] && only)
				return 0;
			only = both[j] ? both[j] : only;
		}
	}
	return only;
}
