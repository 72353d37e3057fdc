/*
 * Which inner addresses reach some destinations and no others (allow-to= of a token), in memory:
 * what the sets of the table "ip vprox" are to hold. firewall_confined.h brings it there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/ipv4.h"

enum {
	CONFINEMENT_MAX_PREFIXES = 16, /* of one address */
	CONFINEMENT_LENGTHS = 33, /* of a prefix: 0 to 32 */
};

/* What an inner address reaches: one of these prefixes. Their order means nothing. */
struct confined {
	struct hash_node node;
	struct ipv4 inner;
	size_t n; /* 0: nothing */
	struct prefix to[CONFINEMENT_MAX_PREFIXES];
};

struct confinement {
	struct hash_table table;
	size_t n_of_length[CONFINEMENT_LENGTHS]; /* prefixes, of all addresses */
	/* Bit by bit the lengths that there are or were, and CONFINEMENT_USED: what the table has
	 * sets and rules for. */
	uint64_t shape;
};

#define CONFINEMENT_USED (UINT64_C(1) << CONFINEMENT_LENGTHS)

/* Of no address. Returns 0 or what hash_init() returns. */
int confinement_init(struct confinement *confinement);
/* Frees what it holds. Zeroed is fine. */
void confinement_free(struct confinement *confinement);

/* NULL: the address reaches what all do. Valid until it is changed. */
const struct confined *confinement_find(const struct confinement *confinement, struct ipv4 inner);

/*
 * The address reaches these n destinations alone from now on, whose host bits are zero; to is NULL:
 * what all do. Only the first CONFINEMENT_MAX_PREFIXES are kept, and of two that are the same one.
 * Returns 0, or -ENOMEM and nothing has changed.
 */
int confinement_set(
	struct confinement *confinement, struct ipv4 inner, const struct prefix *to, size_t n);

/* Whether an address reaches the prefix as one of its own. confined may be NULL: it does not. */
bool confined_reaches(const struct confined *confined, struct prefix prefix);

/* Whether confinement_set() would change nothing. */
bool confinement_is(const struct confinement *confinement, struct ipv4 inner,
	const struct prefix *to, size_t n);
