/*
 * Gives each bind address its index. Runs in the broker, at its start.
 */
#include "server/assignment.h"

#include <limits.h>

#include "server/promised.h"

static const unsigned int unassigned = UINT_MAX;

static bool is_taken(unsigned int index, const struct assignment *assignments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == index)
			return true;
	return false;
}

/* The leftover with this alias, the one of the lowest index if there are several. */
static const struct plane_leftover *find_alias(struct ipv4 bind,
	const struct plane_leftover *leftovers, size_t n_leftovers, unsigned int n_indexes)
{
	const struct plane_leftover *found = NULL;

	for (size_t i = 0; i < n_leftovers; i++)
		if (leftovers[i].has_bind && ipv4_equal(leftovers[i].bind, bind) &&
			leftovers[i].index < n_indexes &&
			(!found || leftovers[i].index < found->index))
			found = &leftovers[i];
	return found;
}

static const struct plane_leftover *find_nameless(
	unsigned int index, const struct plane_leftover *leftovers, size_t n_leftovers)
{
	for (size_t i = 0; i < n_leftovers; i++)
		if (!leftovers[i].has_bind && leftovers[i].index == index)
			return &leftovers[i];
	return NULL;
}

static unsigned int find_promised(struct ipv4 bind, const struct promised *promised,
	unsigned int n_indexes, const struct assignment *assignments, size_t n)
{
	const struct stored_endpoint *stored = promised_endpoint(promised, bind);

	if (!stored || stored->index >= n_indexes || is_taken(stored->index, assignments, n))
		return unassigned;
	return stored->index;
}

/* By another host of the fleet. */
static bool is_of_others(
	unsigned int index, const struct promised *promised, const struct ipv4 *binds, size_t n)
{
	for (size_t i = 0; promised->is_of_fleet && i < promised->n_endpoints; i++)
		if (promised->endpoints[i].index == index &&
			!ipv4_is_among(promised->endpoints[i].bind, binds, n))
			return true;
	return false;
}

void assign_indexes(const struct ipv4 *binds, size_t n, const struct plane_leftover *leftovers,
	size_t n_leftovers, unsigned int n_indexes, const struct promised *promised,
	struct assignment *assignments)
{
	unsigned int next = 0;

	for (size_t i = 0; i < n; i++) {
		const struct plane_leftover *leftover =
			find_alias(binds[i], leftovers, n_leftovers, n_indexes);

		assignments[i] =
			(struct assignment){leftover ? leftover->index : unassigned, leftover};
	}
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == unassigned &&
			!is_taken((unsigned int)i, assignments, n) &&
			find_nameless((unsigned int)i, leftovers, n_leftovers))
			assignments[i] = (struct assignment){(unsigned int)i, true};
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == unassigned)
			assignments[i].index =
				find_promised(binds[i], promised, n_indexes, assignments, n);
	for (size_t i = 0; i < n; i++) {
		if (assignments[i].index != unassigned)
			continue;
		while (is_taken(next, assignments, n) || is_of_others(next, promised, binds, n))
			next++;
		assignments[i].index = next;
	}
}

bool assignment_is_stale(
	const struct plane_leftover *leftover, const struct assignment *assignments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == leftover->index && assignments[i].adopts)
			return false;
	return true;
}
