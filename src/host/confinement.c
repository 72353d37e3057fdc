/* Keeps the table of addresses that reach some destinations alone. Runs in the broker. */
#include "host/confinement.h"

#include <errno.h>
#include <stdlib.h>

int confinement_init(struct confinement *confinement)
{
	*confinement = (struct confinement){0};
	return hash_init(&confinement->table);
}

void confinement_free(struct confinement *confinement)
{
	if (!confinement->table.buckets)
		return;
	hash_for_each (&confinement->table, node)
		free(hash_entry(node, struct confined, node));
	hash_free(&confinement->table);
	*confinement = (struct confinement){0};
}

static bool has_inner(const struct hash_node *node, const void *key)
{
	return ipv4_equal(
		hash_entry(node, struct confined, node)->inner, *(const struct ipv4 *)key);
}

static struct confined *find(const struct confinement *confinement, struct ipv4 inner)
{
	struct hash_node *node = hash_find(&confinement->table, &inner, sizeof inner, has_inner);

	return node ? hash_entry(node, struct confined, node) : NULL;
}

const struct confined *confinement_find(const struct confinement *confinement, struct ipv4 inner)
{
	return find(confinement, inner);
}

bool confined_reaches(const struct confined *confined, struct prefix prefix)
{
	for (size_t i = 0; confined && i < confined->n; i++)
		if (prefix_equal(confined->to[i], prefix))
			return true;
	return false;
}

static void count(struct confinement *confinement, const struct confined *confined, bool is_there)
{
	for (size_t i = 0; i < confined->n; i++) {
		const uint8_t length = confined->to[i].length;

		confinement->n_of_length[length] += is_there ? 1 : (size_t)-1;
		confinement->shape |= UINT64_C(1) << length;
	}
}

static void remove_entry(struct confinement *confinement, struct confined *confined)
{
	count(confinement, confined, false);
	hash_remove(&confinement->table, &confined->node);
	free(confined);
}

static void fill(struct confined *confined, const struct prefix *to, size_t n)
{
	confined->n = 0;
	for (size_t i = 0; i < n && confined->n < CONFINEMENT_MAX_PREFIXES; i++)
		if (!confined_reaches(confined, to[i]))
			confined->to[confined->n++] = to[i];
}

int confinement_set(
	struct confinement *confinement, struct ipv4 inner, const struct prefix *to, size_t n)
{
	struct confined *confined = find(confinement, inner);

	if (!to) {
		if (confined)
			remove_entry(confinement, confined);
		return 0;
	}
	if (confined) {
		count(confinement, confined, false);
	} else {
		confined = calloc(1, sizeof *confined);
		if (!confined)
			return -ENOMEM;
		confined->inner = inner;
		hash_insert(&confinement->table, &confined->node, &inner, sizeof inner);
	}
	fill(confined, to, n);
	count(confinement, confined, true);
	confinement->shape |= CONFINEMENT_USED;
	return 0;
}

bool confinement_is(
	const struct confinement *confinement, struct ipv4 inner, const struct prefix *to, size_t n)
{
	const struct confined *confined = find(confinement, inner);
	struct confined wanted;

	if (!confined || !to)
		return !confined && !to;
	fill(&wanted, to, n);
	if (wanted.n != confined->n)
		return false;
	for (size_t i = 0; i < wanted.n; i++)
		if (!confined_reaches(confined, wanted.to[i]))
			return false;
	return true;
}
