/* One server a host. */
#pragma once

#include "base/lock.h"

#define LOCK_PATH RUN_FOLDER "/lock"

/* For a command that changes what is a server's: checks its rights, and takes the lock, to be held
 * to the end so that no server starts meanwhile. advice: what is to be done where one runs. Returns
 * the file descriptor; -EWOULDBLOCK: a server runs; or another -errno. Logs. */
int lock_out_servers(const char *advice);
