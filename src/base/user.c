/* Looks up the user for the processes that hold no privilege. Called by the broker and by the
 * client, before they start such a process. */
#include "base/user.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>

int user_find(const char *name, struct user *user)
{
	const struct passwd *entry;

	*user = (struct user){.name = name ? name : "vprox"};
	entry = getpwnam(user->name);
	if (!entry && !name) {
		user->name = "nobody";
		entry = getpwnam(user->name);
	}
	if (!entry)
		return -ENOENT;
	user->id = entry->pw_uid;
	user->group = entry->pw_gid;
	return user->id == 0 || user->group == 0 ? -EINVAL : 0;
}
