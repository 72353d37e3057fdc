/* Finds what an earlier server has left, and removes it. Runs in the broker, at its start. */
#include "server/leftovers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "plane/plane.h"
#include "server/assignment.h"
#include "server/config.h"

enum {
	MAX_LEFTOVERS = 4 * MAX_BINDS, /* of earlier servers; more than any host has had */
};

static int keep_leftover(void *context, const struct plane_leftover *leftover)
{
	struct plane_leftovers *leftovers = context;

	if (leftovers->n == MAX_LEFTOVERS)
		return -E2BIG;
	leftovers->found[leftovers->n++] = *leftover;
	return 0;
}

int leftovers_discover(struct plane_leftovers *leftovers, struct plane *plane)
{
	int error;

	leftovers->found = calloc(MAX_LEFTOVERS, sizeof *leftovers->found);
	if (!leftovers->found)
		return -ENOMEM;
	error = plane->ops->discover(plane, keep_leftover, leftovers);
	if (error < 0)
		log_error("cannot see what an earlier server left: %s",
			error == -E2BIG ? "too many interfaces" : plane_error(plane));
	return error;
}

static const char *why_stale(
	const struct server_config *config, const struct plane_leftover *leftover)
{
	if (leftover->has_bind && server_config_names(config, leftover->bind))
		return "that address has another interface, or --wg-block has no such "
		       "block now";
	return leftover->has_bind ? "that is none of --ip now" : "no --ip has its place now";
}

static int remove_leftover(struct plane *plane, const struct plane_leftover *leftover)
{
	int error = plane->ops->remove_all(plane, leftover->index);

	if (error < 0)
		log_error("cannot remove %s: %s", plane_device_name(leftover->index).s,
			plane_error(plane));
	return error;
}

int leftovers_remove_stale(const struct plane_leftovers *leftovers, struct plane *plane,
	const struct server_config *config, const struct assignment *assignments, size_t n,
	size_t n_present)
{
	int error = 0;

	for (size_t i = 0; i < leftovers->n && error == 0; i++) {
		const struct plane_leftover *leftover = &leftovers->found[i];

		if (assignment_is_stale(leftover, assignments, n)) {
			log_warning("removing %s and its tunnels, left by an earlier server for "
				    "%s: %s",
				plane_device_name(leftover->index).s,
				leftover->has_bind ? ipv4_text(leftover->bind).s
						   : "an unknown address",
				why_stale(config, leftover));
			error = remove_leftover(plane, leftover);
		} else if (assignment_is_stale(leftover, assignments, n_present)) {
			log_info("removing %s and its tunnels, left by an earlier server for %s: "
				 "this host does not have that address now",
				plane_device_name(leftover->index).s, ipv4_text(leftover->bind).s);
			error = remove_leftover(plane, leftover);
		}
	}
	return error;
}

void leftovers_free(struct plane_leftovers *leftovers)
{
	free(leftovers->found);
	*leftovers = (struct plane_leftovers){0};
}
