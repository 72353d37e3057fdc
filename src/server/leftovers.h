/* What an earlier server has left on the data plane: found at the start, and removed where it is
 * for no address that is served now. */
#pragma once

#include <stddef.h>

struct assignment;
struct plane;
struct plane_leftover;
struct server_config;

/* Zeroed before. */
struct plane_leftovers {
	struct plane_leftover *found; /* of indexes that differ from each other */
	size_t n;
};

/* Logs. Returns 0 or -errno; to be freed in either case. */
int leftovers_discover(struct plane_leftovers *leftovers, struct plane *plane);

/* Removes those of none of the n assignments, and those of an address that the host does not have:
 * of all but the first n_present. Logs. Returns 0 or -errno. */
int leftovers_remove_stale(const struct plane_leftovers *leftovers, struct plane *plane,
	const struct server_config *config, const struct assignment *assignments, size_t n,
	size_t n_present);

void leftovers_free(struct plane_leftovers *leftovers);
