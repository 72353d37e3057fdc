#include "server/assignment.h"

#include <limits.h>

static const unsigned int unassigned = UINT_MAX;

static bool is_taken(unsigned int index, const struct assignment *assignments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == index)
			return true;
	return false;
}

/* The trace with this alias, the one of the lowest index if there are several. */
static const struct plane_trace *find_alias(
	struct ipv4 bind, const struct plane_trace *traces, size_t n_traces, unsigned int n_indexes)
{
	const struct plane_trace *found = NULL;

	for (size_t i = 0; i < n_traces; i++)
		if (traces[i].has_bind && ipv4_equal(traces[i].bind, bind) &&
			traces[i].index < n_indexes && (!found || traces[i].index < found->index))
			found = &traces[i];
	return found;
}

static const struct plane_trace *find_nameless(
	unsigned int index, const struct plane_trace *traces, size_t n_traces)
{
	for (size_t i = 0; i < n_traces; i++)
		if (!traces[i].has_bind && traces[i].index == index)
			return &traces[i];
	return NULL;
}

void assign_indexes(const struct ipv4 *binds, size_t n, const struct plane_trace *traces,
	size_t n_traces, unsigned int n_indexes, struct assignment *assignments)
{
	unsigned int next = 0;

	for (size_t i = 0; i < n; i++) {
		const struct plane_trace *trace = find_alias(binds[i], traces, n_traces, n_indexes);

		assignments[i] = (struct assignment){trace ? trace->index : unassigned, trace};
	}
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == unassigned &&
			!is_taken((unsigned int)i, assignments, n) &&
			find_nameless((unsigned int)i, traces, n_traces))
			assignments[i] = (struct assignment){(unsigned int)i, true};
	for (size_t i = 0; i < n; i++) {
		if (assignments[i].index != unassigned)
			continue;
		while (is_taken(next, assignments, n))
			next++;
		assignments[i].index = next;
	}
}

bool assignment_is_stale(
	const struct plane_trace *trace, const struct assignment *assignments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (assignments[i].index == trace->index && assignments[i].adopts)
			return false;
	return true;
}
