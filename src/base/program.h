/* Programs of this one's own that it starts as further processes. */
#pragma once

#include <limits.h>

/*
 * Finds the program of that name: beside this one, where it was built, or where it is installed.
 * *path is where it should be in either case. Returns 0 or -errno.
 */
int program_find(const char *name, char path[PATH_MAX]);

enum { PROGRAM_ENVIRONMENT_SIZE = 8 }; /* with the final NULL */

/* Picks of our environment what the libraries need, ended by NULL: what else is in it, such as an
 * operator's credentials, is none of another process's business. The texts stay where they are. */
void program_pick_environment(char *environment[PROGRAM_ENVIRONMENT_SIZE]);
