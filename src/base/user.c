/* Looks up the user for the processes that hold no privilege. Called by the broker, the client and
 * the device, before they start such a process or become one. */
#include "base/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

enum {
	DYNAMIC_FIRST = 61184, /* https://systemd.io/UIDS-GIDS */
	DYNAMIC_LAST = 65519,
	N_DYNAMIC = DYNAMIC_LAST - DYNAMIC_FIRST + 1,
};

/* Nobody's, and no service's of systemd, which notes those that it gives out. */
static bool is_free(uid_t id)
{
	char path[sizeof "/run/systemd/dynamic-uid/4294967295"];

	snprintf(path, sizeof path, "/run/systemd/dynamic-uid/%u", id);
	return !getpwuid(id) && !getgrgid(id) && access(path, F_OK) < 0;
}

/* Where the search for a name's ID begins: FNV-1a. */
static unsigned int hash_name(const char *name)
{
	unsigned int hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash % N_DYNAMIC;
}

static int find_free(const char *name, struct user *user)
{
	unsigned int first = hash_name(name);

	for (unsigned int i = 0; i < N_DYNAMIC; i++) {
		uid_t id = DYNAMIC_FIRST + (first + i) % N_DYNAMIC;

		if (!is_free(id))
			continue;
		*user = (struct user){name, id, id, true};
		return 0;
	}
	return -ENOENT;
}

static int find_named(const char *name, struct user *user)
{
	const struct passwd *entry = getpwnam(name);

	*user = (struct user){.name = name};
	if (!entry)
		return -ENOENT;
	user->id = entry->pw_uid;
	user->group = entry->pw_gid;
	return user->id == 0 || user->group == 0 ? -EINVAL : 0;
}

int user_find_own(const char *name, struct user *user)
{
	int error = find_named(name, user);

	if (error != -ENOENT)
		return error;
	return find_free(name, user);
}

int user_find(const char *name, struct user *user)
{
	int error = name ? find_named(name, user) : user_find_own("vprox", user);

	if (error == 0 && user->is_dynamic)
		log_info("there is no user %s: what would run as it runs as user and group %u, "
			 "which are nobody's",
			user->name, user->id);
	return error;
}
