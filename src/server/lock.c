/* Keeps servers out while a command changes what is theirs. Runs in that command's process. */
#include "server/lock.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/rights.h"

int lock_out_servers(const char *advice)
{
	int error = rights_check(false), lock;

	if (error < 0)
		return error;
	lock = lock_take(LOCK_PATH);
	if (lock == -EWOULDBLOCK)
		log_error("a vprox server runs on this host: %s", advice);
	else if (lock < 0)
		lock_log_failure(LOCK_PATH, lock);
	return lock;
}
