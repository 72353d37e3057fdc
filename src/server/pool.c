/*
 * Gives out the inner addresses of an endpoint. Runs in the broker.
 */
#include "server/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	GATEWAY_OFFSET = 1, /* from the network address */
	FIRST_OFFSET = 2, /* of those that are given out */
	RESERVED = 3, /* network, gateway, broadcast */
};

enum doubt {
	TRUSTED,
	DOUBTED,
	PURGING,
};

/* Freed slots, in the order in which they were: those that can be given out, those that a purge is
 * about, and those that wait for the next one. */
enum freed {
	CLEAN,
	PURGED,
	WAITING,
	N_FREED_LISTS,
};

struct freed_link {
	uint32_t before, after;
};

/*
 * Addresses are slots 0 to capacity - 1. Two bits a slot, and the links of the lists of freed ones,
 * in memory that the kernel gives page by page as it is touched: a release needs none, and any of
 * them can be taken out at once. Behind the slots' links is one for the ends of each list.
 */
struct pool {
	struct prefix block;
	uint32_t capacity;
	uint32_t taken;
	uint32_t next_unused; /* no slot below it is unused */
	uint64_t *used_bits; /* taken at least once */
	uint64_t *taken_bits;
	struct freed_link *freed; /* of those that are used and not taken */
	enum doubt unused; /* about the slots never used */
};

static bool get_bit(const uint64_t *bits, uint32_t slot)
{
	return bits[slot / 64] >> (slot % 64) & 1;
}

static void set_bit(uint64_t *bits, uint32_t slot)
{
	bits[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void clear_bit(uint64_t *bits, uint32_t slot)
{
	bits[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

static uint32_t ends_of(const struct pool *pool, enum freed list)
{
	return pool->capacity + (uint32_t)list;
}

static bool is_empty(const struct pool *pool, enum freed list)
{
	return pool->freed[ends_of(pool, list)].after == ends_of(pool, list);
}

static void link_freed(struct pool *pool, uint32_t before, uint32_t after)
{
	pool->freed[before].after = after;
	pool->freed[after].before = before;
}

static void insert_after(struct pool *pool, uint32_t before, uint32_t slot)
{
	link_freed(pool, slot, pool->freed[before].after);
	link_freed(pool, before, slot);
}

static void take_out(struct pool *pool, uint32_t slot)
{
	link_freed(pool, pool->freed[slot].before, pool->freed[slot].after);
}

static void empty(struct pool *pool, enum freed list)
{
	link_freed(pool, ends_of(pool, list), ends_of(pool, list));
}

/* All of one list come behind those of another. */
static void append_all(struct pool *pool, enum freed to, enum freed from)
{
	const struct freed_link all = pool->freed[ends_of(pool, from)];

	if (is_empty(pool, from))
		return;
	link_freed(pool, pool->freed[ends_of(pool, to)].before, all.after);
	link_freed(pool, all.before, ends_of(pool, to));
	empty(pool, from);
}

int pool_new(struct prefix block, struct pool **result)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return -ENOMEM;
	pool->block = block;
	pool->capacity = (uint32_t)(prefix_size(block) - RESERVED);

	size_t n_words = pool->capacity / 64 + 1;
	pool->used_bits = calloc(n_words, sizeof(*pool->used_bits));
	pool->taken_bits = calloc(n_words, sizeof(*pool->taken_bits));
	pool->freed = calloc((size_t)pool->capacity + N_FREED_LISTS, sizeof(*pool->freed));
	if (!pool->used_bits || !pool->taken_bits || !pool->freed) {
		pool_free(pool);
		return -ENOMEM;
	}
	for (enum freed list = CLEAN; list < N_FREED_LISTS; list++)
		empty(pool, list);
	*result = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	free(pool->used_bits);
	free(pool->taken_bits);
	free(pool->freed);
	free(pool);
}

struct ipv4 pool_gateway(struct prefix block)
{
	return (struct ipv4){block.address.value + GATEWAY_OFFSET};
}

static struct ipv4 address_of(const struct pool *pool, uint32_t slot)
{
	return (struct ipv4){pool->block.address.value + FIRST_OFFSET + slot};
}

/* The slot may be out of range: addresses below the first one wrap to the top. */
static uint32_t slot_of(const struct pool *pool, struct ipv4 address)
{
	return address.value - pool->block.address.value - FIRST_OFFSET;
}

static void take(struct pool *pool, uint32_t slot)
{
	set_bit(pool->used_bits, slot);
	set_bit(pool->taken_bits, slot);
	pool->taken++;
}

static void take_freed(struct pool *pool, uint32_t slot)
{
	take_out(pool, slot);
	take(pool, slot);
}

static bool has_unused(struct pool *pool)
{
	while (pool->next_unused < pool->capacity && get_bit(pool->used_bits, pool->next_unused))
		pool->next_unused++;
	return pool->next_unused < pool->capacity;
}

int pool_take(struct pool *pool, struct ipv4 *address)
{
	bool unused = has_unused(pool);

	if (unused && pool->unused == TRUSTED) {
		*address = address_of(pool, pool->next_unused);
		take(pool, pool->next_unused++);
		return 0;
	}
	if (!is_empty(pool, CLEAN)) {
		const uint32_t slot = pool->freed[ends_of(pool, CLEAN)].after;

		take_freed(pool, slot);
		*address = address_of(pool, slot);
		return 0;
	}
	return unused || !is_empty(pool, PURGED) || !is_empty(pool, WAITING) ? -EAGAIN : -ENOSPC;
}

bool pool_contains(const struct pool *pool, struct ipv4 address)
{
	return slot_of(pool, address) < pool->capacity;
}

bool pool_is_taken(const struct pool *pool, struct ipv4 address)
{
	uint32_t slot = slot_of(pool, address);

	return slot < pool->capacity && get_bit(pool->taken_bits, slot);
}

int pool_claim(struct pool *pool, struct ipv4 address)
{
	uint32_t slot = slot_of(pool, address);

	if (slot >= pool->capacity)
		return -ERANGE;
	/* Claims come at start, before anything was freed: a used slot is a taken one. */
	if (get_bit(pool->used_bits, slot))
		return -EEXIST;
	take(pool, slot);
	return 0;
}

int pool_claim_freed(struct pool *pool, struct ipv4 address)
{
	const uint32_t slot = slot_of(pool, address);

	if (slot >= pool->capacity)
		return -ERANGE;
	if (!get_bit(pool->used_bits, slot) || get_bit(pool->taken_bits, slot))
		return -EEXIST;
	take_freed(pool, slot);
	return 0;
}

void pool_release(struct pool *pool, struct ipv4 address)
{
	uint32_t slot = slot_of(pool, address);

	assert(slot < pool->capacity && get_bit(pool->taken_bits, slot));
	clear_bit(pool->taken_bits, slot);
	pool->taken--;
	insert_after(pool, pool->freed[ends_of(pool, WAITING)].before, slot);
}

void pool_doubt_unused(struct pool *pool)
{
	pool->unused = DOUBTED;
}

void pool_trust_unused(struct pool *pool)
{
	pool->unused = TRUSTED;
}

bool pool_needs_purge(const struct pool *pool)
{
	return pool->unused == DOUBTED || !is_empty(pool, WAITING);
}

void pool_begin_purge(struct pool *pool, pool_address_fn *each, void *context)
{
	const uint32_t end = ends_of(pool, WAITING);

	assert(is_empty(pool, PURGED) && pool->unused != PURGING);
	for (uint32_t slot = pool->freed[end].after; slot != end; slot = pool->freed[slot].after)
		each(context, address_of(pool, slot));
	append_all(pool, PURGED, WAITING);
	if (pool->unused != DOUBTED)
		return;
	for (uint32_t slot = 0; slot < pool->capacity; slot++)
		if (!get_bit(pool->used_bits, slot))
			each(context, address_of(pool, slot));
	pool->unused = PURGING;
}

/* Makes an unused slot the first that is given out of the freed ones. */
static void use_before_freed(struct pool *pool, uint32_t slot)
{
	set_bit(pool->used_bits, slot);
	insert_after(pool, ends_of(pool, CLEAN), slot);
}

static void end_purge_of_unused(struct pool *pool, pool_was_used_fn *was_used, void *context)
{
	for (uint32_t slot = pool->capacity; was_used && slot-- > 0;)
		if (!get_bit(pool->used_bits, slot) && was_used(context, address_of(pool, slot)))
			use_before_freed(pool, slot);
	pool->unused = TRUSTED;
}

void pool_end_purge(struct pool *pool, pool_was_used_fn *was_used, void *context)
{
	append_all(pool, CLEAN, PURGED);
	if (pool->unused == PURGING)
		end_purge_of_unused(pool, was_used, context);
}

uint32_t pool_capacity(const struct pool *pool)
{
	return pool->capacity;
}

uint32_t pool_taken(const struct pool *pool)
{
	return pool->taken;
}
