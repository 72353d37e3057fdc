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
	INITIAL_QUEUE = 64, /* a power of two */
};

enum doubt {
	TRUSTED,
	DOUBTED,
	PURGING,
};

/*
 * Addresses are slots 0 to capacity - 1. Two bits a slot, in memory that the kernel gives page by
 * page as it is touched; the queue of freed slots is kept as long as the number of slots ever used,
 * so that a release needs no memory. From its head on the queue has those that can be given out,
 * then those that a purge is about, then those that wait for the next one.
 */
struct pool {
	struct prefix block;
	uint32_t capacity;
	uint32_t taken;
	uint32_t next_unused; /* no slot below it is unused */
	uint32_t n_used; /* slots that were taken at least once */
	uint64_t *used_bits;
	uint64_t *taken_bits;
	uint32_t *queue; /* freed slots, a ring */
	uint32_t queue_size;
	uint32_t queue_head;
	uint32_t queue_length;
	uint32_t n_clean; /* of the queue, from its head: can be given out */
	uint32_t n_purging; /* after those: in the purge that is under way */
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
	pool->queue_size = INITIAL_QUEUE;
	pool->queue = calloc(pool->queue_size, sizeof(*pool->queue));
	if (!pool->used_bits || !pool->taken_bits || !pool->queue) {
		pool_free(pool);
		return -ENOMEM;
	}
	*result = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	free(pool->used_bits);
	free(pool->taken_bits);
	free(pool->queue);
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

static int grow_queue(struct pool *pool)
{
	uint32_t size = pool->queue_size * 2;
	uint32_t *queue = calloc(size, sizeof *queue);

	if (!queue)
		return -ENOMEM;
	for (uint32_t i = 0; i < pool->queue_length; i++)
		queue[i] = pool->queue[(pool->queue_head + i) & (pool->queue_size - 1)];
	free(pool->queue);
	pool->queue = queue;
	pool->queue_size = size;
	pool->queue_head = 0;
	return 0;
}

static int take_unused(struct pool *pool, uint32_t slot)
{
	if (pool->n_used == pool->queue_size) {
		int error = grow_queue(pool);

		if (error < 0)
			return error;
	}
	pool->n_used++;
	set_bit(pool->used_bits, slot);
	set_bit(pool->taken_bits, slot);
	pool->taken++;
	return 0;
}

static bool has_unused(struct pool *pool)
{
	while (pool->next_unused < pool->capacity && get_bit(pool->used_bits, pool->next_unused))
		pool->next_unused++;
	return pool->next_unused < pool->capacity;
}

static uint32_t take_clean(struct pool *pool)
{
	uint32_t slot = pool->queue[pool->queue_head];

	pool->queue_head = (pool->queue_head + 1) & (pool->queue_size - 1);
	pool->queue_length--;
	pool->n_clean--;
	set_bit(pool->taken_bits, slot);
	pool->taken++;
	return slot;
}

int pool_take(struct pool *pool, struct ipv4 *address)
{
	bool unused = has_unused(pool);

	if (unused && pool->unused == TRUSTED) {
		int error = take_unused(pool, pool->next_unused);

		if (error < 0)
			return error;
		*address = address_of(pool, pool->next_unused++);
		return 0;
	}
	if (pool->n_clean > 0) {
		*address = address_of(pool, take_clean(pool));
		return 0;
	}
	return unused || pool->queue_length > 0 ? -EAGAIN : -ENOSPC;
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
	return take_unused(pool, slot);
}

static uint32_t queued(const struct pool *pool, uint32_t number)
{
	return pool->queue[(pool->queue_head + number) & (pool->queue_size - 1)];
}

/* Those behind it move up. */
static void take_out_of_queue(struct pool *pool, uint32_t number)
{
	const uint32_t mask = pool->queue_size - 1;

	for (uint32_t i = number; i + 1 < pool->queue_length; i++)
		pool->queue[(pool->queue_head + i) & mask] = queued(pool, i + 1);
	pool->queue_length--;
	if (number < pool->n_clean)
		pool->n_clean--;
	else if (number < pool->n_clean + pool->n_purging)
		pool->n_purging--;
}

int pool_claim_freed(struct pool *pool, struct ipv4 address)
{
	const uint32_t slot = slot_of(pool, address);
	uint32_t number = 0;

	if (slot >= pool->capacity)
		return -ERANGE;
	while (number < pool->queue_length && queued(pool, number) != slot)
		number++;
	if (number == pool->queue_length)
		return -EEXIST;
	take_out_of_queue(pool, number);
	set_bit(pool->taken_bits, slot);
	pool->taken++;
	return 0;
}

void pool_release(struct pool *pool, struct ipv4 address)
{
	uint32_t slot = slot_of(pool, address);

	assert(slot < pool->capacity && get_bit(pool->taken_bits, slot));
	clear_bit(pool->taken_bits, slot);
	pool->taken--;
	pool->queue[(pool->queue_head + pool->queue_length) & (pool->queue_size - 1)] = slot;
	pool->queue_length++;
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
	return pool->unused == DOUBTED || pool->queue_length > pool->n_clean + pool->n_purging;
}

void pool_begin_purge(struct pool *pool, pool_address_fn *each, void *context)
{
	assert(pool->n_purging == 0 && pool->unused != PURGING);
	for (uint32_t i = pool->n_clean; i < pool->queue_length; i++)
		each(context, address_of(pool, queued(pool, i)));
	pool->n_purging = pool->queue_length - pool->n_clean;
	if (pool->unused != DOUBTED)
		return;
	for (uint32_t slot = 0; slot < pool->capacity; slot++)
		if (!get_bit(pool->used_bits, slot))
			each(context, address_of(pool, slot));
	pool->unused = PURGING;
}

/* Makes an unused slot the first that is given out of the freed ones. Without the memory it stays
 * one of the unused. */
static void use_before_freed(struct pool *pool, uint32_t slot)
{
	if (take_unused(pool, slot) < 0)
		return;
	clear_bit(pool->taken_bits, slot);
	pool->taken--;
	pool->queue_head = (pool->queue_head - 1) & (pool->queue_size - 1);
	pool->queue[pool->queue_head] = slot;
	pool->queue_length++;
	pool->n_clean++;
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
	pool->n_clean += pool->n_purging;
	pool->n_purging = 0;
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
