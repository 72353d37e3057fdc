/*
 * Gives the addresses that a server starts with their endpoints, by what is promised and by what is
 * there of them. Runs in the broker, at its start.
 */
#include "server/initial_endpoints.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/assignment.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/leftovers.h"
#include "server/store_setup.h"

/* The addresses that have an endpoint from the start, and which indexes these have. The first
 * n_present are to be opened. */
struct assigned {
	struct ipv4 *binds;
	struct assignment *assignments;
	size_t n, n_present;
};

static void add_bind(struct assigned *assigned, size_t max, struct ipv4 bind)
{
	if (assigned->n < max && !ipv4_is_among(bind, assigned->binds, assigned->n))
		assigned->binds[assigned->n++] = bind;
}

/* First those that are to be opened, then those that may come: what was promised at them, and what
 * is there of them, is nobody else's. */
static int gather_binds(struct data_plane *data_plane, const struct ipv4 *followed, size_t n,
	const struct plane_leftovers *leftovers, struct assigned *assigned)
{
	const struct server_config *config = data_plane->config;
	const struct promised *promised = &data_plane->store->promised;
	size_t max = server_config_max_endpoints(config);

	assigned->binds = calloc(max, sizeof *assigned->binds);
	assigned->assignments = calloc(max, sizeof *assigned->assignments);
	if (!assigned->binds || !assigned->assignments)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_binds; i++)
		add_bind(assigned, max, config->binds[i]);
	for (size_t i = 0; i < n; i++)
		add_bind(assigned, max, followed[i]);
	assigned->n_present = assigned->n;
	for (size_t i = 0; i < promised->n_endpoints; i++)
		if (server_config_expects(config, promised->endpoints[i].bind))
			add_bind(assigned, max, promised->endpoints[i].bind);
	for (size_t i = 0; i < leftovers->n; i++)
		if (leftovers->found[i].has_bind &&
			server_config_expects(config, leftovers->found[i].bind))
			add_bind(assigned, max, leftovers->found[i].bind);
	return 0;
}

static int describe_assigned(struct data_plane *data_plane, const struct assigned *assigned)
{
	for (size_t i = 0; i < assigned->n; i++) {
		struct endpoint *endpoint = data_plane_describe_at(
			data_plane, assigned->binds[i], assigned->assignments[i].index);

		if (!endpoint)
			return -ENOMEM;
		endpoint->is_served = i < assigned->n_present;
		endpoint->adopts = assigned->assignments[i].adopts && endpoint->is_served;
	}
	return 0;
}

/* The other hosts of a fleet may have them all. */
static int check_indexes(const struct server_config *config, const struct assigned *assigned)
{
	const unsigned int n_indexes = data_plane_blocks(config);

	for (size_t i = 0; i < assigned->n_present; i++) {
		if (assigned->assignments[i].index < n_indexes)
			continue;
		log_error("no block is left for %s: %s has %u, and others have theirs",
			ipv4_text(assigned->binds[i]).s, prefix_text(config->whole_block).s,
			n_indexes);
		return -ENOSPC;
	}
	return 0;
}

int initial_endpoints_describe(struct data_plane *data_plane, const struct ipv4 *followed, size_t n)
{
	struct plane_leftovers leftovers = {0};
	struct assigned assigned = {0};
	int error = leftovers_discover(&leftovers, data_plane->plane);

	if (error == 0)
		error = gather_binds(data_plane, followed, n, &leftovers, &assigned);
	if (error == 0) {
		assign_indexes(assigned.binds, assigned.n, leftovers.found, leftovers.n,
			data_plane_blocks(data_plane->config), &data_plane->store->promised,
			assigned.assignments);
		error = check_indexes(data_plane->config, &assigned);
	}
	if (error == 0)
		error = leftovers_remove_stale(&leftovers, data_plane->plane, data_plane->config,
			assigned.assignments, assigned.n, assigned.n_present);
	if (error == 0)
		error = describe_assigned(data_plane, &assigned);
	leftovers_free(&leftovers);
	free(assigned.binds);
	free(assigned.assignments);
	return error;
}
