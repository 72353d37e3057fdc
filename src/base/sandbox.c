/* Gives up user, capabilities and the like, for good. Runs in a gate and in the client's request
 * process, between their set-up and the first byte from the network. */
#include "base/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sanitizer.h"

int sandbox_raise_files(unsigned int n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < n) {
		struct rlimit wanted = {n, limit.rlim_max > n ? limit.rlim_max : n};

		if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
			limit = wanted;
		} else {
			limit.rlim_cur = limit.rlim_max;
			if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
				return -errno;
		}
	}
	return limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
}

/* True if the process has a capability in its permitted set, or this cannot be told. */
static bool has_capabilities(void)
{
	cap_t now = cap_get_proc(), none = cap_init();
	bool some = !now || !none || cap_compare(now, none) != 0;

	cap_free(now);
	cap_free(none);
	return some;
}

/* The bounding set can only be changed with a capability, so it goes before the user does. Where
 * that capability is missing it does no harm: without new privileges nothing can be gained from
 * it. */
static void drop_bounding_set(void)
{
	for (cap_value_t cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (cap_drop_bound(cap) < 0) {
			log_warning("cannot drop the bounding set of capabilities: %s",
				strerror(errno));
			return;
		}
}

static bool is_user(uid_t user, gid_t group)
{
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;

	return getresuid(&real, &effective, &saved) == 0 &&
	       getresgid(&real_group, &effective_group, &saved_group) == 0 && real == user &&
	       effective == user && saved == user && real_group == group &&
	       effective_group == group && saved_group == group;
}

static int change_user(uid_t user, gid_t group)
{
	if (is_user(user, group)) {
		if (getgroups(0, NULL) > 0 && setgroups(0, NULL) < 0)
			log_warning("no right to leave the supplementary groups");
		return 0;
	}
	if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 ||
		setresuid(user, user, user) < 0)
		return -errno;
	return 0;
}

int sandbox_drop_capabilities(void)
{
	cap_t none = cap_init();
	int error = 0;

	if (!none)
		return -ENOMEM;
	if (cap_reset_ambient() < 0 || cap_set_proc(none) < 0)
		error = -errno;
	cap_free(none);
	return error == 0 && has_capabilities() ? -EPERM : error;
}

static int set_limit(__rlimit_resource_t resource, rlim_t value)
{
	struct rlimit limit = {value, value};

	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* Changing the user sets "dumpable" and the signal anew, so these come last. */
static int set_process_flags(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	if (prctl(PR_SET_DUMPABLE, SANITIZER, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_drop_privileges(uid_t user, gid_t group)
{
	bool had_capabilities = has_capabilities();
	const char *what = "change user and group";
	int error;

	drop_bounding_set();
	error = change_user(user, group);
	if (error == -EPERM && !had_capabilities) {
		log_warning("no right to change the user: staying %u:%u instead of %u:%u",
			geteuid(), getegid(), user, group);
		error = 0;
	}
	if (error == 0) {
		what = "drop the capabilities";
		error = sandbox_drop_capabilities();
	}
	if (error == 0) {
		what = "set limits";
		error = set_limit(RLIMIT_CORE, 0);
	}
	if (error == 0 && !SANITIZER)
		error = set_limit(RLIMIT_NPROC, 0);
	if (error == 0) {
		what = "set process flags";
		error = set_process_flags();
	}
	if (error < 0)
		log_error("cannot %s: %s", what, strerror(-error));
	else if (geteuid() == 0)
		log_warning("runs as root, though without capabilities");
	return error;
}
