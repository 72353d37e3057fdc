/*
 * Gives out the inner addresses of an endpoint. Runs in the broker.
 */
#include "server/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
	GATEWAY_OFFSET = 1, /* from the network address */
	FIRST_OFFSET = 2, /* of those that are given out */
	RESERVED = 3, /* network, gateway, broadcast */
	INITIAL_QUEUE = 64, /* a power of two */
};

/*
 * Addresses are slots 0 to capacity - 1. Two bits a slot, in memory that the kernel gives page by
 * page as it is touched; the queue of freed slots is kept as long as the number of slots ever used,
 * so that a release needs no memory.
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

int pool_take(struct pool *pool, struct ipv4 *address)
{
	uint32_t slot;

	while (pool->next_unused < pool->capacity && get_bit(pool->used_bits, pool->next_unused))
		pool->next_unused++;
	if (pool->next_unused < pool->capacity) {
		int error = take_unused(pool, pool->next_unused);

		if (error < 0)
			return error;
		slot = pool->next_unused++;
	} else if (pool->queue_length > 0) {
		slot = pool->queue[pool->queue_head];
		pool->queue_head = (pool->queue_head + 1) & (pool->queue_size - 1);
		pool->queue_length--;
		set_bit(pool->taken_bits, slot);
		pool->taken++;
	} else {
		return -ENOSPC;
	}
	*address = address_of(pool, slot);
	return 0;
}

bool pool_contains(const struct pool *pool, struct ipv4 address)
{
	return slot_of(pool, address) < pool->capacity;
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

void pool_release(struct pool *pool, struct ipv4 address)
{
	uint32_t slot = slot_of(pool, address);

	assert(slot < pool->capacity && get_bit(pool->taken_bits, slot));
	clear_bit(pool->taken_bits, slot);
	pool->taken--;
	pool->queue[(pool->queue_head + pool->queue_length) & (pool->queue_size - 1)] = slot;
	pool->queue_length++;
}

uint32_t pool_capacity(const struct pool *pool)
{
	return pool->capacity;
}

uint32_t pool_taken(const struct pool *pool)
{
	return pool->taken;
}
