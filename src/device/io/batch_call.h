/* recvmmsg(2) and sendmmsg(2), and recvmsg and sendmsg in their place where a kernel or a filter of
 * system calls has them not (ENOSYS). */
#pragma once

#include <sys/socket.h>

#include "device/io/refusals.h"

/* One thread's, of one kind of call. */
struct batch_call {
	struct refusals *refusals;
	uint32_t single_left; /* messages until the other one is tried again; 0: it is in use */
};

/* Does not block. Returns how many came, or -1 and errno. */
int batch_receive(struct batch_call *call, int fd, struct mmsghdr *headers, unsigned int n);
/* Returns how many went, at least one, or -1 and errno: that of the first. */
int batch_send(struct batch_call *call, int fd, struct mmsghdr *headers, unsigned int n);
