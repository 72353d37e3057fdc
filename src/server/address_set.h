/*
 * The inner addresses that a purge is about, and which of them it has found connections of. A bit
 * an address: a purge asks for four of every connection that the kernel tracks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"

struct address_set {
	struct prefix block; /* that all of them lie in */
	uint64_t *members, *found;
};

/* Empty. Returns 0 or -ENOMEM. */
int address_set_init(struct address_set *set, struct prefix block);
void address_set_free(struct address_set *set);

/* The address must lie in the block. */
void address_set_add(struct address_set *set, struct ipv4 address);

/* Whether it is a member. Any address. */
bool address_set_has(const struct address_set *set, struct ipv4 address);
/* Whether it is a member, and if so notes that it was found. Any address. */
bool address_set_find(struct address_set *set, struct ipv4 address);
bool address_set_has_found(const struct address_set *set, struct ipv4 address);
