/* Whom the command of `vprox exec` runs as. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum {
	COMMAND_GROUPS_MAX = 256,
	COMMAND_NAME_SIZE = 256, /* LOGIN_NAME_MAX of Linux */
	COMMAND_HOME_SIZE = 4096,
};

struct command_user {
	uid_t id;
	gid_t group;
	gid_t groups[COMMAND_GROUPS_MAX];
	size_t n_groups;
	char name[COMMAND_NAME_SIZE], home[COMMAND_HOME_SIZE]; /* "": not known */
};

/*
 * Looks up the user that is named, by name or number; NULL: who called sudo(8), or else who runs
 * this process. Returns 0; -ENOENT if there is no user of that name; or another negative errno.
 */
int command_user_find(const char *name, struct command_user *user);

/*
 * Becomes that user for good, with his groups and his home, and without capabilities or the way to
 * new ones: no program that is executed gives any. Returns 0 or -errno.
 */
int command_user_become(const struct command_user *user);
