/* A store that another command than the server has started, to read or change what is in the
 * server's file. */
#pragma once

#include <sys/types.h>

#include "ipc/storing.h"

struct store_process {
	int fd; /* SOCK_SEQPACKET, non-blocking: what it says; -1: there is none */
	pid_t pid;
};

/* Starts one for this task, and sends it its configuration. Returns 0, -ENOENT if there is no file,
 * or another -errno. In either case *process is to be ended. */
int store_process_start(enum store_task task, struct store_process *process);
/* Hangs up, and waits a moment for its end. */
void store_process_end(struct store_process *process);
