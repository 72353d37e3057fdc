/* Processes that were started, and must come to an end; and what one takes. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum {
	/* For one that was killed. It ends at once, unless it waits in the kernel for a disk or a
	 * file system that does not answer: that can take for ever. */
	PROCESS_KILL_MS = 5000,
};

/* Waits for a child at the most so long. Returns 0 with what waitpid() says of it, -ETIMEDOUT, or
 * another -errno. */
int process_reap(pid_t pid, unsigned int timeout_ms, int *status);

/*
 * Waits for a child, and kills it if it takes longer than that; one that does not even end then is
 * left alone. Returns 0 with what waitpid() says of it, -ETIMEDOUT, or another -errno.
 */
int process_finish(pid_t pid, unsigned int timeout_ms, int *status);

/* The memory of a process that is resident, in bytes (proc_pid_statm(5)); 0: it cannot be read. */
uint64_t process_resident(pid_t pid);
