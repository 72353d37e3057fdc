/* Which bind address gets which index: the i of vprox<i>, of its block and of its port. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"
#include "plane/plane.h"

struct promised;

struct assignment {
	unsigned int index;
	bool adopts; /* what is there under the index is this address's own */
};

/*
 * An address that was served before keeps its index, recognised by the alias of its interface,
 * wherever it stands in the configuration now; one whose interface has no alias, as a Go server
 * leaves it, is recognised by its position. One of which nothing is there has the index that the
 * store says, if it is free. The others get the lowest indexes that are left, of
 * n_indexes in all (at least n), and that no other host of the fleet has: where none is left they
 * are greater. leftovers[i].index differ from each other.
 */
void assign_indexes(const struct ipv4 *binds, size_t n, const struct plane_leftover *leftovers,
	size_t n_leftovers, unsigned int n_indexes, const struct promised *promised,
	struct assignment *assignments);

/* Whether a leftover belongs to none of the assignments: to be removed. */
bool assignment_is_stale(
	const struct plane_leftover *leftover, const struct assignment *assignments, size_t n);
