/* The store's folder and its files, as the broker and `vprox clean` see them: the folder is root's,
 * the files are the store's, which works with them by itself. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * Makes the folder, and gives it and what is in it to the store, which runs as this user and group:
 * it may have run as another at the start before. Needs no right to give files away, but that to
 * become their owner. Returns 0 or -errno; what is wrong with a file is logged, with what to do.
 */
int store_files_prepare(uid_t user, gid_t group);

/* Removes the file with all that is promised, and those that were set aside, while there is no
 * server; dry_run: only says so. Returns how many things it found, or -errno, which is logged. */
int store_files_clear(bool dry_run);
