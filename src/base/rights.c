/* Checks capabilities at the start, before anything is changed. Runs in the processes that people
 * start. */
#include "base/rights.h"

#include <errno.h>
#include <stddef.h>
#include <sys/capability.h>

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
	const char *missing = NULL;

	if (!has_right(CAP_NET_ADMIN))
		missing = "administer the network (CAP_NET_ADMIN)";
	else if (changes_user && !has_right(CAP_SETUID))
		missing = "start processes as another user (CAP_SETUID)";
	else if (changes_user && !has_right(CAP_SETGID))
		missing = "start processes with another group (CAP_SETGID)";
	if (!missing)
		return 0;
	log_error("this needs the right to %s: run it as root", missing);
	return -EPERM;
}
