#include "server/rights.h"

#include <errno.h>
#include <sys/capability.h>

#include "base/log.h"

int rights_check(void)
{
	cap_t capabilities = cap_get_proc();
	cap_flag_value_t has = CAP_CLEAR;

	if (capabilities)
		cap_get_flag(capabilities, CAP_NET_ADMIN, CAP_EFFECTIVE, &has);
	cap_free(capabilities);
	if (has == CAP_SET)
		return 0;
	log_error("this needs the right to administer the network (CAP_NET_ADMIN): run it as root");
	return -EPERM;
}
