/* Nodes of the tree of prefixes, unpacked and packed again. Runs in the control thread. */
#include "device/wireguard/allowedips_unpacked.h"

#include <stdlib.h>

void allowedips_unpack(const struct node *node, struct unpacked *unpacked)
{
	unsigned int at = 0;

	*unpacked = (struct unpacked){.key = node->key, .depth = node->depth};
	for (unsigned int i = 0; i < FANOUT; i++)
		if (node->children >> i & 1)
			unpacked->children[i] = load(&node->places[at++]);
	for (unsigned int i = 0; i < FANOUT; i++)
		if (node->prefixes >> i & 1)
			unpacked->prefixes[i] = load(&node->places[at++]);
}

struct node *allowedips_pack(const struct unpacked *unpacked)
{
	unsigned int n = 0, at = 0;
	struct node *node;

	for (unsigned int i = 0; i < FANOUT; i++)
		n += (unpacked->children[i] != 0) + (unpacked->prefixes[i] != 0);
	node = malloc(offsetof(struct node, places) + n * sizeof(node->places[0]));
	if (!node)
		return NULL;
	node->key = unpacked->key;
	node->depth = (int8_t)unpacked->depth;
	node->children = node->prefixes = 0;
	for (unsigned int i = 0; i < FANOUT; i++) {
		if (!unpacked->children[i])
			continue;
		node->children |= UINT64_C(1) << i;
		atomic_init(&node->places[at++], unpacked->children[i]);
	}
	for (unsigned int i = 0; i < FANOUT; i++) {
		if (!unpacked->prefixes[i])
			continue;
		node->prefixes |= UINT64_C(1) << i;
		atomic_init(&node->places[at++], unpacked->prefixes[i]);
	}
	return node;
}

place *unpacked_place(struct unpacked *unpacked, struct prefix_bits prefix)
{
	return prefix.length < unpacked->depth + STRIDE
		       ? &unpacked->prefixes[number_at(prefix, unpacked->depth)]
		       : &unpacked->children[chunk_at(prefix.key, unpacked->depth)];
}

place unpacked_only(const struct unpacked *unpacked)
{
	place only = 0;

	for (unsigned int i = 0; i < FANOUT; i++) {
		const place both[] = {unpacked->children[i], unpacked->prefixes[i]};

		for (int j = 0; j < 2; j++) {
			if (both[j] && only)
				return 0;
			only = both[j] ? both[j] : only;
		}
	}
	return only;
}
