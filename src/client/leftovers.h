/* Taking away what clients that do not run any more have left in the way: the block of --route,
 * with its policy rules and routes. */
#pragma once

#include <stdbool.h>

/*
 * Of every client whose lock is free; its interface stays, for the next one. Logs each thing.
 * dry_run: logs what there is, and removes nothing. Returns how many things there were, or the
 * first -errno, logged; it goes on after one.
 */
int leftovers_remove(bool dry_run);

/* Of one client, whose lock the caller has. Returns 0 or the first -errno, logged. */
int leftovers_remove_of(const char *interface);
