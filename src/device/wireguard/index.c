/* The table of indices: changed in the control thread, looked up in every worker. */
#include "device/wireguard/index.h"

#include <errno.h>
#include <stdlib.h>

enum {
	INITIAL_PLACES = 64,
	ADOPT_PLACES = 1 << 24, /* no table of ours is larger */
};

struct index_places {
	struct epoch_node retired;
	uint32_t mask; /* number of places - 1 */
	_Atomic(struct index_entry *) entries[];
};

static struct index_places *places_new(uint32_t n)
{
	struct index_places *places = calloc(1, sizeof(*places) + n * sizeof(places->entries[0]));

	if (places)
		places->mask = n - 1;
	return places;
}

static void places_free(struct epoch_node *node)
{
	free(node); /* it is the first member */
}

/* The control thread's own view. */
static struct index_places *own_places(const struct index_table *table)
{
	return atomic_load_explicit(&table->places, memory_order_relaxed);
}

static struct index_entry *own_entry(const struct index_places *places, uint32_t index)
{
	return atomic_load_explicit(&places->entries[index & places->mask], memory_order_relaxed);
}

int index_init(
	struct index_table *table, struct epoch *epoch, int (*random)(void *bytes, size_t length))
{
	struct index_places *places = places_new(INITIAL_PLACES);

	atomic_init(&table->places, places);
	table->count = 0;
	table->epoch = epoch;
	table->random = random;
	return places ? 0 : -ENOMEM;
}

void index_free(struct index_table *table)
{
	free(own_places(table));
	atomic_init(&table->places, NULL);
}

struct index_entry *index_lookup(const struct index_table *table, uint32_t index)
{
	const struct index_places *places =
		atomic_load_explicit(&table->places, memory_order_acquire);
	struct index_entry *entry =
		atomic_load_explicit(&places->entries[index & places->mask], memory_order_acquire);

	return entry && entry->index == index ? entry : NULL;
}

static int grow(struct index_table *table)
{
	struct index_places *old = own_places(table);
	struct index_places *larger = places_new((old->mask + 1) * 2);

	if (!larger)
		return -ENOMEM;
	for (uint32_t i = 0; i <= old->mask; i++) {
		struct index_entry *entry = own_entry(old, i);

		if (entry)
			atomic_init(&larger->entries[entry->index & larger->mask], entry);
	}
	atomic_store_explicit(&table->places, larger, memory_order_release);
	epoch_retire(table->epoch, &old->retired, places_free);
	return 0;
}

int index_choose(struct index_table *table, uint32_t *index)
{
	int error = 0;

	/* At most half full, so that every second try finds a place. */
	if (table->count > own_places(table)->mask / 2)
		error = grow(table);
	if (error)
		return error;
	do {
		error = table->random(index, sizeof *index);
		if (error)
			return error;
	} while (own_entry(own_places(table), *index));
	return 0;
}

void index_publish(struct index_table *table, struct index_entry *entry)
{
	struct index_places *places = own_places(table);

	atomic_store_explicit(
		&places->entries[entry->index & places->mask], entry, memory_order_release);
	table->count++;
}

void index_replace(
	struct index_table *table, const struct index_entry *old, struct index_entry *entry)
{
	struct index_places *places = own_places(table);

	entry->index = old->index;
	atomic_store_explicit(
		&places->entries[entry->index & places->mask], entry, memory_order_release);
}

void index_remove(struct index_table *table, const struct index_entry *entry)
{
	struct index_places *places = own_places(table);

	if (own_entry(places, entry->index) != entry)
		return;
	atomic_store_explicit(
		&places->entries[entry->index & places->mask], NULL, memory_order_release);
	table->count--;
}

int index_adopt(struct index_table *table, struct index_entry *entry)
{
	const struct index_entry *there = own_entry(own_places(table), entry->index);
	int error = 0;

	/* In the table that it comes from, all have their places: with as many, here too. */
	while (error == 0 && (there || table->count > own_places(table)->mask / 2)) {
		if (there && there->index == entry->index)
			return -EEXIST;
		error = own_places(table)->mask < ADOPT_PLACES ? grow(table) : -ENOMEM;
		there = own_entry(own_places(table), entry->index);
	}
	if (error == 0)
		index_publish(table, entry);
	return error;
}
