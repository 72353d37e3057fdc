/* Checks capabilities at the start, before anything is changed. Runs in the processes that people
 * start. */
#include "base/rights.h"

#include <errno.h>
#include <stddef.h>
#include <sys/capability.h>
#include <unistd.h>

#include "base/log.h"

static bool has_right(cap_value_t right)
{
	cap_t capabilities = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR;

	if (capabilities)
		cap_get_flag(capabilities, right, CAP_EFFECTIVE, &has);
	cap_free(capabilities);
	return has == CAP_SET;
}

int rights_check(bool changes_user)
{
	const char *missing = NULL, *name = NULL;

	if (!has_right(CAP_NET_ADMIN)) {
		missing = "administer the network";
		name = "NET_ADMIN";
	} else if (changes_user && !has_right(CAP_SETUID)) {
		missing = "start processes as another user";
		name = "SETUID";
	} else if (changes_user && !has_right(CAP_SETGID)) {
		missing = "start processes with another group";
		name = "SETGID";
	}
	if (!missing)
		return 0;
	if (geteuid() == 0)
		log_error("this needs the right to %s (CAP_%s), which root does not have here: a "
			  "container needs --cap-add %s",
			missing, name, name);
	else
		log_error("this needs the right to %s (CAP_%s): run it as root", missing, name);
	return -EPERM;
}

/* A container that has the file may be kept from it all the same, by its control group. */
const char *rights_tun_advice(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		if (has_right(CAP_NET_ADMIN))
			return ": a container needs --device /dev/net/tun";
		return geteuid() == 0 ? ": this needs the right to administer the network "
					"(CAP_NET_ADMIN), which root does not have here: a "
					"container needs --cap-add NET_ADMIN"
				      : ": this needs the right to administer the network "
					"(CAP_NET_ADMIN): run it as root";
	case -ENOENT:
	case -ENODEV:
		return ": load the module tun; a container needs --device /dev/net/tun";
	default:
		return "";
	}
}
