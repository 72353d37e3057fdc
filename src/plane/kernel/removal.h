/*
 * Deleting links, many at once: they are put in a group of their own, and the group is deleted. A
 * crash in between leaves links in the group, which the next open() takes out of it again.
 */
#pragma once

#include "plane/kernel/device.h"

struct link;

enum {
	/* Links that are about to be deleted together are put in this group. An unlikely number:
	 * whatever else is in it would be deleted with them. */
	KERNEL_REMOVAL_GROUP = 0x76705f72,
	/* From so many at once on, the routes of links are removed before them: of 1,000 it takes
	 * longer with that than without, of 2,000 less long (docs/performance.md). */
	KERNEL_ROUTES_FIRST = 1536,
};

/*
 * Deletes the links, any number. errors[i] is 0 if the i-th is gone, also if it was before. Returns
 * 0 if all are, else the first error, whose text is kept.
 */
int kernel_delete_links(
	struct kernel_plane *kernel, const unsigned int *ifindexes, size_t n, int *errors);
/* Deletes every link of ours under an index: what else has one of the names is left alone, and
 * logged. */
int kernel_delete_index(
	struct kernel_plane *kernel, unsigned int index, const struct link *links, size_t n);
