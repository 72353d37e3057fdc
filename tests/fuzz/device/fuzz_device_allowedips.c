/* The allowed IPs, changed and asked as the input says, against a list; and packets of any bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "device/wireguard/allowedips.h"
#include "device/wireguard/allowedips_lookup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PREFIXES = 64, N_OWNERS = 4, STEP = 18, ADDRESS = 16 };

struct prefix {
	uint8_t address[ADDRESS];
	uint8_t length;
	int owner;
};

struct list {
	struct prefix prefixes[MAX_PREFIXES];
	size_t n;
};

static bool covers(const struct prefix *prefix, const uint8_t *address)
{
	for (int i = 0; i < prefix->length; i++)
		if ((prefix->address[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static struct prefix *find(struct list *list, const uint8_t *address, uint8_t length)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->prefixes[i].length == length && covers(&list->prefixes[i], address))
			return &list->prefixes[i];
	return NULL;
}

static int lookup(const struct list *list, const uint8_t *address)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < list->n; i++)
		if (covers(&list->prefixes[i], address) &&
			(!best || list->prefixes[i].length > best->length))
			best = &list->prefixes[i];
	return best ? best->owner : -1;
}

static void insert(struct allowedips *table, struct allowedips_owner *owners, struct list *list,
	const uint8_t *address, uint8_t length, int owner)
{
	struct prefix *there = find(list, address, length);

	if (!there && list->n == MAX_PREFIXES)
		return;
	if (allowedips_insert(table, AF_INET6, address, length, &owners[owner]) != 0)
		return;
	if (!there) {
		there = &list->prefixes[list->n++];
		memcpy(there->address, address, ADDRESS);
		there->length = length;
	}
	there->owner = owner;
}

static void remove_one(struct allowedips *table, struct allowedips_owner *owners, struct list *list,
	const uint8_t *address, uint8_t length, int owner)
{
	struct prefix *there = find(list, address, length);
	int error = allowedips_remove(table, AF_INET6, address, length, &owners[owner]);

	assert((error == 0) == (there && there->owner == owner));
	if (error == 0)
		*there = list->prefixes[--list->n];
}

/* What to do and with which owner, the prefix's length, its address. */
static void step(struct allowedips *table, struct allowedips_owner *owners, struct list *list,
	const uint8_t *data)
{
	struct allowedips_owner *found;
	int owner = data[0] % N_OWNERS;
	uint8_t length = data[1] % 129;
	struct in6_addr address;

	memcpy(&address, data + 2, sizeof address);
	if (data[0] & 4)
		insert(table, owners, list, data + 2, length, owner);
	else if (data[0] & 8)
		remove_one(table, owners, list, data + 2, length, owner);
	found = allowedips_lookup6(table, &address);
	assert((found ? (int)(found - owners) : -1) == lookup(list, data + 2));
	assert(table->count == list->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct allowedips_owner owners[N_OWNERS] = {{0}};
	struct list list = {.n = 0};
	struct allowedips table;
	struct epoch epoch;

	if (epoch_init(&epoch, 0) != 0)
		return 0;
	allowedips_init(&table, &epoch);
	allowedips_insert(&table, AF_INET, "\x0a\0\0\0", 8, &owners[0]);
	allowedips_lookup_source(&table, data, size);
	allowedips_lookup_destination(&table, data, size);
	allowedips_remove_all(&table, &owners[0]);
	for (size_t i = 0; i + STEP <= size; i += STEP)
		step(&table, owners, &list, data + i);
	for (int i = 0; i < N_OWNERS; i++)
		allowedips_remove_all(&table, &owners[i]);
	assert(table.count == 0 && table.root6 == 0);
	epoch_free(&epoch);
	return 0;
}
