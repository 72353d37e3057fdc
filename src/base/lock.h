/* One process of a kind on a host, such as one server. */
#pragma once

#include <stdbool.h>

/* What is there until the next boot: locks, keys, sockets. */
#define RUN_FOLDER "/run/vprox"

/*
 * Takes the lock that a running process holds, making RUN_FOLDER if need be. It is released when
 * the process ends, however that happens. Returns the file descriptor, or -EWOULDBLOCK if another
 * process has it, or the errno of what failed.
 */
int lock_take(const char *path);

/* Logs why it was not taken, and what helps; error is not -EWOULDBLOCK, which each caller knows
 * more of. */
void lock_log_failure(const char *path, int error);

/* Whether a process holds it; false, too, if that cannot be told. Who takes the lock at this very
 * moment may fail, and has to try again. */
bool lock_is_taken(const char *path);
