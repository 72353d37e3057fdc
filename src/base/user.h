/* The user as whom a process runs that talks to strangers: one without rights. */
#pragma once

#include <sys/types.h>

struct user {
	const char *name;
	uid_t id;
	gid_t group;
};

/*
 * Looks a user up by name; NULL: vprox, or nobody where there is no such user. Returns 0, -ENOENT
 * if there is none, or -EINVAL if it has the rights of root. user->name is whom it concerns in any
 * case.
 */
int user_find(const char *name, struct user *user);
