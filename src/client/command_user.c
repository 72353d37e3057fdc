/* Finds the user of the command of `vprox exec`, in the client, and becomes it, in the namespace's
 * first process. */
#include "client/command_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/sandbox.h"

/* A user or group ID in decimal. Returns 0 or -EINVAL. */
static int parse_id(const char *text, unsigned int *id)
{
	char *end;
	unsigned long value;

	if (!text || *text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	/* (uid_t)-1 means "as it is" to the kernel */
	if (errno != 0 || *end != '\0' || value >= (unsigned long)(uid_t)-1)
		return -EINVAL;
	*id = (unsigned int)value;
	return 0;
}

/* Before anything is masked: the groups may come from a service. */
static int fill_from(const struct passwd *entry, struct command_user *user)
{
	int n = COMMAND_GROUPS_MAX;

	user->id = entry->pw_uid;
	user->group = entry->pw_gid;
	snprintf(user->name, sizeof user->name, "%s", entry->pw_name);
	snprintf(user->home, sizeof user->home, "%s", entry->pw_dir);
	if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &n) < 0)
		return -E2BIG;
	user->n_groups = (size_t)n;
	return 0;
}

/* One without an entry has no groups but its own. */
static void fill_bare(struct command_user *user, uid_t id, gid_t group)
{
	user->id = id;
	user->group = group;
	user->groups[0] = group;
	user->n_groups = 1;
}

static int fill_from_self(struct command_user *user)
{
	int n = getgroups(COMMAND_GROUPS_MAX, user->groups);

	if (n < 0)
		return -errno;
	user->id = getuid();
	user->group = getgid();
	user->n_groups = (size_t)n;
	return 0;
}

static int find_caller(struct command_user *user)
{
	const struct passwd *entry;
	unsigned int id, group;

	if (getuid() != 0 || parse_id(getenv("SUDO_UID"), &id) < 0)
		return fill_from_self(user);
	entry = getpwuid(id);
	if (entry)
		return fill_from(entry, user);
	fill_bare(user, id, parse_id(getenv("SUDO_GID"), &group) == 0 ? group : id);
	return 0;
}

int command_user_find(const char *name, struct command_user *user)
{
	const struct passwd *entry;
	unsigned int id;

	*user = (struct command_user){0};
	if (!name)
		return find_caller(user);
	entry = getpwnam(name);
	if (!entry && parse_id(name, &id) == 0) {
		entry = getpwuid(id);
		if (!entry) {
			fill_bare(user, id, id);
			return 0;
		}
	}
	return entry ? fill_from(entry, user) : -ENOENT;
}

static int set_environment(const struct command_user *user)
{
	if (user->name[0] == '\0')
		return 0;
	return setenv("HOME", user->home, 1) < 0 || setenv("USER", user->name, 1) < 0 ||
			       setenv("LOGNAME", user->name, 1) < 0
		       ? -errno
		       : 0;
}

/* What root could get back by execve(2). */
static int drop_bounding_set(void)
{
	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (cap_drop_bound(cap) < 0)
			return -errno;
	return 0;
}

int command_user_become(const struct command_user *user)
{
	int error = drop_bounding_set();

	if (error < 0)
		return error;
	if (setgroups(user->n_groups, user->groups) < 0 ||
		setresgid(user->group, user->group, user->group) < 0 ||
		setresuid(user->id, user->id, user->id) < 0)
		return -errno;
	error = sandbox_drop_capabilities();
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = -errno;
	return error < 0 ? error : set_environment(user);
}
