/* Keeps the names of an endpoint's peers, and counts who has them. Runs in the broker. */
#include "server/peer_names.h"

#include <stdlib.h>
#include <string.h>

int peer_names_init(struct peer_names *names)
{
	LIST_INIT(&names->of_tokens);
	return hash_init(&names->table);
}

void peer_names_free(struct peer_names *names)
{
	hash_for_each (&names->table, node)
		free(hash_entry(node, struct peer_name, node));
	hash_free(&names->table);
}

static bool has_name(const struct hash_node *node, const void *key)
{
	return strcmp(hash_entry(node, struct peer_name, node)->name.s, key) == 0;
}

static struct peer_name *find(const struct peer_names *names, const struct client_name *name)
{
	struct hash_node *node = hash_find(&names->table, name->s, strlen(name->s), has_name);

	return node ? hash_entry(node, struct peer_name, node) : NULL;
}

struct peer_name *peer_names_add(struct peer_names *names, const struct client_name *name)
{
	struct peer_name *found = find(names, name);

	if (!found) {
		found = calloc(1, sizeof *found);
		if (!found)
			return NULL;
		found->name = *name;
		hash_insert(&names->table, &found->node, name->s, strlen(name->s));
		if (client_name_kind(name) == CLIENT_NAME_TOKEN)
			LIST_INSERT_HEAD(&names->of_tokens, found, entry);
	}
	found->n_peers++;
	return found;
}

void peer_names_remove(struct peer_names *names, struct peer_name *name)
{
	if (--name->n_peers > 0)
		return;
	hash_remove(&names->table, &name->node);
	if (client_name_kind(&name->name) == CLIENT_NAME_TOKEN)
		LIST_REMOVE(name, entry);
	free(name);
}

uint32_t peer_names_count(const struct peer_names *names, const struct client_name *name)
{
	const struct peer_name *found = find(names, name);

	return found ? found->n_peers : 0;
}
