/* What a tree of prefixes is made of. For the allowedips files only. */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"

/*
 * Addresses are the high bits of 128, for IPv4 too. A node stands at a depth: so many bits lead to
 * it, and it is indexed by the next six. Depths are -4, 2, 8, ... 26, ... 122, counted so that both
 * 32 and 128 are where a step ends; the four bits before an address are zero.
 */
typedef unsigned __int128 bits128;

enum {
	ADDRESS_BITS = 128,
	STRIDE = 6,
	FANOUT = 1 << STRIDE,
	FIRST_DEPTH = -4,
};

/*
 * A place holds nothing (0), a node, or an entry, told apart by the lowest bit of the pointer. An
 * entry in the place of a child is the only prefix below it.
 */
typedef uintptr_t place;
enum { IS_ENTRY = 1 };

struct allowedips_owner;

struct allowedips_entry {
	_Atomic(struct allowedips_owner *) owner;
	union {
		struct { /* the control thread's: in the owner's list */
			struct allowedips_entry *next, **link;
		};
		struct epoch_node retired; /* once it is in none */
	};
	uint8_t length; /* of the prefix */
	uint8_t family;
	uint8_t address[]; /* 4 or 16 bytes, host bits zero */
};

/*
 * Prefixes that end at a node, of 0 to 5 of its bits, are numbered as in a heap: 1 is the empty
 * one, 2n and 2n+1 are n followed by 0 and by 1. So the prefixes of a path are found by shifting,
 * and the longer has the greater number.
 */
struct node {
	struct epoch_node retired;
	bits128 key; /* the bits that lead here, then zeros */
	uint64_t children; /* which of the 64 have a place */
	uint64_t prefixes; /* which numbers have one */
	int8_t depth;
	_Atomic place places[]; /* of the children, then of the prefixes */
};

struct prefix_bits {
	bits128 key;
	int length;
};

static inline struct allowedips_entry *entry_at(place p)
{
	return p & IS_ENTRY ? (struct allowedips_entry *)(p & ~(place)IS_ENTRY) : NULL;
}

static inline struct node *node_at(place p)
{
	return (struct node *)p;
}

static inline place load(const _Atomic place *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

/* The instruction is not in every x86-64, and the library's function costs a call. */
static inline unsigned int count_bits(uint64_t x)
{
	x -= x >> 1 & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned int)(x * UINT64_C(0x0101010101010101) >> 56);
}

static inline unsigned int rank(uint64_t bitmap, unsigned int bit)
{
	return count_bits(bitmap & ((UINT64_C(1) << bit) - 1));
}

static inline unsigned int highest_bit(uint64_t x)
{
	return 63 - (unsigned int)__builtin_clzll(x);
}

static inline bits128 mask_of(int length)
{
	return length <= 0 ? 0 : ~(bits128)0 << (ADDRESS_BITS - length);
}

static inline unsigned int chunk_at(bits128 key, int depth)
{
	return (unsigned int)(key >> (ADDRESS_BITS - STRIDE - depth)) & (FANOUT - 1);
}

static inline bits128 load_bits(const uint8_t *bytes, int n_bytes)
{
	bits128 key = 0;

	for (int i = 0; i < n_bytes; i++)
		key = key << 8 | bytes[i];
	return key << (ADDRESS_BITS - 8 * n_bytes);
}

static inline int bytes_of(int family)
{
	return family == AF_INET ? 4 : 16;
}

static inline struct prefix_bits entry_bits(const struct allowedips_entry *entry)
{
	return (struct prefix_bits){
		load_bits(entry->address, bytes_of(entry->family)), entry->length};
}

/* The number of a prefix that ends at a node. */
static inline unsigned int number_at(struct prefix_bits prefix, int depth)
{
	int n = prefix.length - depth; /* 0 to 5 of the node's bits */

	return 1u << n | chunk_at(prefix.key, depth) >> (STRIDE - n);
}
