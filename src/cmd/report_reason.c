/* What people need to know where a server gives no report. Runs in `vprox show` and `vprox check`.
 */
#include "cmd/report_reason.h"

#include <errno.h>
#include <string.h>

const char *report_reason(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no vprox server runs on this host; `vprox server` starts one, and `vprox "
		       "clean --dry-run` lists what an earlier one left";
	case -EACCES:
	case -EPERM:
		return "only root may ask the server: run it as root";
	case -ENODATA:
		return "the server did not answer: it answers root only, and only a few "
		       "at a time";
	case -EPROTONOSUPPORT:
		return "the server that runs is of another release than this program: ask it with "
		       "its own, or restart it";
	case -ETIMEDOUT:
		return "the server does not answer in time: see its log, and ask again";
	case -EPROTO:
		return "the server's answer is cut off: ask again";
	default:
		return strerror(-error);
	}
}
