/*
 * A set of addresses of one block, as bits. Filled by the broker's event loop, then asked by the
 * thread of a purge, then read by the loop: never by both at a time.
 */
#include "server/address_set.h"

#include <errno.h>
#include <stdlib.h>

enum {
	WORD_BITS = 64,
};

static bool get_bit(const uint64_t *bits, uint32_t number)
{
	return bits[number / WORD_BITS] >> (number % WORD_BITS) & 1;
}

static void set_bit(uint64_t *bits, uint32_t number)
{
	bits[number / WORD_BITS] |= UINT64_C(1) << (number % WORD_BITS);
}

static uint32_t number_of(const struct address_set *set, struct ipv4 address)
{
	return address.value - set->block.address.value;
}

int address_set_init(struct address_set *set, struct prefix block)
{
	size_t n_words = (size_t)(prefix_size(block) / WORD_BITS + 1);

	*set = (struct address_set){.block = block};
	/* A large block's pages are the kernel's until they are touched. */
	set->members = calloc(n_words, sizeof *set->members);
	set->found = calloc(n_words, sizeof *set->found);
	if (set->members && set->found)
		return 0;
	address_set_free(set);
	return -ENOMEM;
}

void address_set_free(struct address_set *set)
{
	free(set->members);
	free(set->found);
	set->members = set->found = NULL;
}

void address_set_add(struct address_set *set, struct ipv4 address)
{
	set_bit(set->members, number_of(set, address));
}

bool address_set_has(const struct address_set *set, struct ipv4 address)
{
	return prefix_contains(set->block, address) &&
	       get_bit(set->members, number_of(set, address));
}

bool address_set_find(struct address_set *set, struct ipv4 address)
{
	if (!address_set_has(set, address))
		return false;
	set_bit(set->found, number_of(set, address));
	return true;
}

bool address_set_has_found(const struct address_set *set, struct ipv4 address)
{
	return get_bit(set->found, number_of(set, address));
}
