/* The folder of the store's files, as a process sees it that may not reach what is above. */
#pragma once

/*
 * Makes names of SQLite files that have no slash be files of the working directory: SQLite would
 * look for the directory's own path, and the folder's parent is closed to the store's user. Returns
 * 0 or -ENOSYS.
 */
int folder_use_working_directory(void);

/* What a damaged file is called from now on: NAME.damaged-TIME. */
struct folder_name {
	char s[64];
};
struct folder_name folder_name_aside(const char *name);

/* Gives a damaged file and what SQLite has beside it that name, in the working directory. Returns 0
 * or -errno. */
int folder_set_aside(const char *name, const struct folder_name *aside);
