/* The folder of the store's files, as a process sees it that may not reach what is above. */
#pragma once

/*
 * Makes names of SQLite files that have no slash be files of the working directory: SQLite would
 * look for the directory's own path, and the folder's parent is closed to the store's user. Returns
 * 0 or -ENOSYS.
 */
int folder_use_working_directory(void);

/*
 * Gives a damaged file and what SQLite has beside it other names, NAME.damaged-TIME, in the working
 * directory. Returns 0 or -errno.
 */
int folder_set_aside(const char *name);
