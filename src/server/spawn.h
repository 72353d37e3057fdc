/* Starting further processes of this program. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum {
	SPAWN_FD_FIRST = 3, /* where the new process finds the first of its descriptors */
};

/*
 * Starts `vprox COMMAND`, or, unless program is NULL, the program of that path. It has, besides 0
 * to 2, copies of the n descriptors (one at least), in this order; they stay the caller's. Returns
 * its pid, or -errno.
 */
pid_t spawn_process(const char *command, const char *program, const int *descriptors, size_t n);

/*
 * Likewise, but for a process that is no child of ours, in a session of its own: one that is to
 * outlive us. When this returns, its parent is who it will be. Returns 0 or -errno.
 */
int spawn_detached(const char *command, const int *descriptors, size_t n);
