/* The user as whom a process runs that talks to strangers: one without rights. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct user {
	const char *name;
	uid_t id;
	gid_t group;
	bool is_dynamic; /* there is none of that name */
};

/*
 * Looks a user up by name; NULL: vprox, as user_find_own() does; that there is none of that name is
 * logged: a line that goes for all processes' users. Returns 0, -ENOENT if there is none, or
 * -EINVAL if it has the rights of root. user->name is whom it concerns in any case.
 */
int user_find(const char *name, struct user *user);

/*
 * The user of that name, whose own the processes of one kind are. Where there is none, an ID that
 * is nobody's: not that of the user nobody, since any other process of his could
 * end ours. It is the same at each call, for as long as it stays free: one of those that systemd
 * gives to services (61184 to 65519, DynamicUser= in systemd.exec(5)). Returns as user_find().
 */
int user_find_own(const char *name, struct user *user);
