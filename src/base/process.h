/* Processes that were started, and must come to an end. */
#pragma once

#include <sys/types.h>

/*
 * Waits for a child, and kills it if it takes longer than that; it is reaped in any case. Returns 0
 * with what waitpid() says of it, -ETIMEDOUT, or another -errno.
 */
int process_finish(pid_t pid, unsigned int timeout_ms, int *status);
