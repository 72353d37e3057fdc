/* One server a host. */
#pragma once

#define RUN_FOLDER "/run/vprox"
#define LOCK_PATH RUN_FOLDER "/lock"

/*
 * Takes the lock that a running server holds, making its folder if need be. It is released when the
 * process ends, however that happens. Returns the file descriptor, or -EWOULDBLOCK if another
 * server has it, or the errno of what failed.
 */
int lock_take(const char *path);
