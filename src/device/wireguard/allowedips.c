/* Changes the tree of prefixes: insertion, removal, walks. Runs in the control thread. */
#include "device/wireguard/allowedips.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "device/wireguard/allowedips_unpacked.h"

static place place_of_entry(struct allowedips_entry *entry)
{
	return (place)entry | IS_ENTRY;
}

static void publish(_Atomic place *p, place value)
{
	atomic_store_explicit(p, value, memory_order_release);
}

/* The deepest depth that is not below so many bits. */
static int depth_of(int n_bits)
{
	return n_bits - (n_bits - FIRST_DEPTH) % STRIDE;
}

static int common_bits(bits128 a, bits128 b)
{
	bits128 differ = a ^ b;
	uint64_t high = (uint64_t)(differ >> 64), low = (uint64_t)differ;

	if (high)
		return __builtin_clzll(high);
	return low ? 64 + __builtin_clzll(low) : ADDRESS_BITS;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

static void free_node(struct epoch_node *node)
{
	free(node); /* it is the first member */
}

static void free_entry(struct epoch_node *node)
{
	free(hash_entry(node, struct allowedips_entry, retired));
}

static _Atomic place *place_in(struct node *node, struct prefix_bits prefix)
{
	if (prefix.length < node->depth + STRIDE) {
		unsigned int number = number_at(prefix, node->depth);

		return node->prefixes >> number & 1 ? &node->places[count_bits(node->children) +
								    rank(node->prefixes, number)]
						    : NULL;
	}

	unsigned int chunk = chunk_at(prefix.key, node->depth);

	return node->children >> chunk & 1 ? &node->places[rank(node->children, chunk)] : NULL;
}

/* --- Insertion --- */

static struct allowedips_entry *entry_new(
	struct allowedips *table, int family, struct prefix_bits prefix)
{
	int n_bytes = bytes_of(family);
	struct allowedips_entry *entry =
		malloc(offsetof(struct allowedips_entry, address) + (size_t)n_bytes);

	if (!entry)
		return NULL;
	entry->length = (uint8_t)prefix.length;
	entry->family = (uint8_t)family;
	for (int i = 0; i < n_bytes; i++)
		entry->address[i] = (uint8_t)(prefix.key >> (ADDRESS_BITS - 8 * (i + 1)));
	table->count++;
	return entry;
}

static void link_to_owner(struct allowedips_entry *entry, struct allowedips_owner *owner)
{
	entry->next = owner->first;
	entry->link = &owner->first;
	if (entry->next)
		entry->next->link = &entry->next;
	owner->first = entry;
	atomic_store_explicit(&entry->owner, owner, memory_order_release);
}

static void unlink_from_owner(struct allowedips_entry *entry)
{
	*entry->link = entry->next;
	if (entry->next)
		entry->next->link = entry->link;
}

/* In place of what is at `at`, which has other bits than the new entry: a node with both below it.
 */
static int split(
	_Atomic place *at, struct prefix_bits there, place new_place, struct prefix_bits prefix)
{
	int common = least(common_bits(there.key, prefix.key), least(there.length, prefix.length));
	struct unpacked unpacked = {.depth = depth_of(common)};
	struct node *node;

	unpacked.key = prefix.key & mask_of(unpacked.depth);
	*unpacked_place(&unpacked, there) = load(at);
	*unpacked_place(&unpacked, prefix) = new_place;
	node = allowedips_pack(&unpacked);
	if (!node)
		return -ENOMEM;
	publish(at, (place)node);
	return 0;
}

/* The node at `at` anew, with one place more. */
static int extend(
	struct allowedips *table, _Atomic place *at, place new_place, struct prefix_bits prefix)
{
	struct node *old = node_at(load(at)), *node;
	struct unpacked unpacked;

	allowedips_unpack(old, &unpacked);
	*unpacked_place(&unpacked, prefix) = new_place;
	node = allowedips_pack(&unpacked);
	if (!node)
		return -ENOMEM;
	publish(at, (place)node);
	epoch_retire(table->epoch, &old->retired, free_node);
	return 0;
}

static bool leads_to(const struct node *node, struct prefix_bits prefix)
{
	return prefix.length >= node->depth &&
	       ((prefix.key ^ node->key) & mask_of(node->depth)) == 0;
}

/* Returns the entry of a prefix if it is there. Else NULL, and the place where something else is
 * in its way, or nothing, or a node that lacks a place for it. */
static struct allowedips_entry *find(
	_Atomic place *root, struct prefix_bits prefix, _Atomic place **at)
{
	place p;

	*at = root;
	while ((p = load(*at)) && !(p & IS_ENTRY)) {
		struct node *node = node_at(p);
		_Atomic place *next = leads_to(node, prefix) ? place_in(node, prefix) : NULL;

		if (!next)
			return NULL;
		*at = next;
	}
	if (p) {
		struct prefix_bits there = entry_bits(entry_at(p));

		if (there.length == prefix.length && there.key == prefix.key)
			return entry_at(p);
	}
	return NULL;
}

static int insert_new(
	struct allowedips *table, _Atomic place *at, place new_place, struct prefix_bits prefix)
{
	place p = load(at);

	if (!p) {
		publish(at, new_place);
		return 0;
	}
	if (p & IS_ENTRY)
		return split(at, entry_bits(entry_at(p)), new_place, prefix);

	const struct node *node = node_at(p);

	if (leads_to(node, prefix))
		return extend(table, at, new_place, prefix);
	/* The node's own place in the new one is by its key, and always that of a child. */
	return split(at, (struct prefix_bits){node->key, node->depth}, new_place, prefix);
}

static _Atomic place *root_of(struct allowedips *table, int family)
{
	return family == AF_INET ? &table->root4 : &table->root6;
}

static int parse(int family, const void *address, uint8_t length, struct prefix_bits *prefix)
{
	if ((family != AF_INET && family != AF_INET6) || length > 8 * bytes_of(family))
		return -EINVAL;
	prefix->length = length;
	prefix->key = load_bits(address, bytes_of(family)) & mask_of(length);
	return 0;
}

int allowedips_insert(struct allowedips *table, int family, const void *address, uint8_t length,
	struct allowedips_owner *owner)
{
	struct prefix_bits prefix;
	_Atomic place *at;
	struct allowedips_entry *entry;
	int error = parse(family, address, length, &prefix);

	if (error)
		return error;
	entry = find(root_of(table, family), prefix, &at);
	if (entry) {
		unlink_from_owner(entry);
		link_to_owner(entry, owner);
		return 0;
	}
	entry = entry_new(table, family, prefix);
	if (!entry)
		return -ENOMEM;
	/* Whole before it can be found. */
	link_to_owner(entry, owner);
	error = insert_new(table, at, place_of_entry(entry), prefix);
	if (error) {
		unlink_from_owner(entry);
		free(entry);
		table->count--;
	}
	return error;
}

/* --- Removal --- */

/*
 * After a place of the node at `at` was emptied: the node anew without it, or what is left in it
 * alone: but for empty places a node always has two. Without memory the empty place stays, and
 * lookups take it for none.
 */
static void shrink(struct allowedips *table, _Atomic place *at)
{
	struct node *old = node_at(load(at));
	struct unpacked unpacked;
	place left;

	allowedips_unpack(old, &unpacked);
	left = unpacked_only(&unpacked);
	if (!left)
		left = (place)allowedips_pack(&unpacked);
	if (!left)
		return;
	publish(at, left);
	epoch_retire(table->epoch, &old->retired, free_node);
}

static void remove_entry(struct allowedips *table, struct allowedips_entry *entry)
{
	struct prefix_bits prefix = entry_bits(entry);
	_Atomic place *at = root_of(table, entry->family), *parent = NULL;
	place p;

	while (!((p = load(at)) & IS_ENTRY)) {
		parent = at;
		at = place_in(node_at(p), prefix);
	}
	publish(at, 0);
	if (parent)
		shrink(table, parent);
	unlink_from_owner(entry);
	epoch_retire(table->epoch, &entry->retired, free_entry);
	table->count--;
}

int allowedips_remove(struct allowedips *table, int family, const void *address, uint8_t length,
	struct allowedips_owner *owner)
{
	struct prefix_bits prefix;
	_Atomic place *at;
	struct allowedips_entry *entry;
	int error = parse(family, address, length, &prefix);

	if (error)
		return error;
	entry = find(root_of(table, family), prefix, &at);
	if (!entry || atomic_load_explicit(&entry->owner, memory_order_relaxed) != owner)
		return -ENOENT;
	remove_entry(table, entry);
	return 0;
}

void allowedips_remove_all(struct allowedips *table, struct allowedips_owner *owner)
{
	while (owner->first)
		remove_entry(table, owner->first);
}

/* --- The whole table, and walks --- */

void allowedips_init(struct allowedips *table, struct epoch *epoch)
{
	atomic_init(&table->root4, 0);
	atomic_init(&table->root6, 0);
	table->count = 0;
	table->epoch = epoch;
}

/* At most 22 deep. */
static void free_place(place p)
{
	struct allowedips_entry *entry = entry_at(p);

	if (entry) {
		unlink_from_owner(entry);
		free(entry);
	} else if (p) {
		struct node *node = node_at(p);
		unsigned int n = count_bits(node->children) + count_bits(node->prefixes);

		for (unsigned int i = 0; i < n; i++)
			free_place(load(&node->places[i]));
		free(node);
	}
}

void allowedips_free(struct allowedips *table)
{
	free_place(load(&table->root4));
	free_place(load(&table->root6));
	allowedips_init(table, table->epoch);
}

const struct allowedips_entry *allowedips_next(const struct allowedips_owner *owner,
	const struct allowedips_entry *entry, struct allowed_ip *prefix)
{
	entry = entry ? entry->next : owner->first;
	if (!entry)
		return NULL;
	prefix->family = entry->family;
	prefix->length = entry->length;
	memset(prefix->address, 0, sizeof prefix->address);
	memcpy(prefix->address, entry->address, (size_t)bytes_of(entry->family));
	return entry;
}
