/* The holder of an earlier server (holder/holder.h): what it has is taken from it, and it is ended.
 * It answers at once; one that does not, or makes no sense, is killed. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/ipv4.h"

struct earlier_holder {
	int fd; /* a socket to it; -1: there is none */
	pid_t pid;
};

/* Connects to it, if there is one. One that neither root nor our own user has started is not asked,
 * and logged. To be called by who has the server's lock. */
void earlier_holder_find(struct earlier_holder *holder);

/* Returns a copy of the listener that it has for that address and port, which is the caller's; or
 * -ENOENT. */
int earlier_holder_take(struct earlier_holder *holder, struct ipv4 address, unsigned short port);

/* Has it hold this one no longer. */
void earlier_holder_drop(struct earlier_holder *holder, struct ipv4 address, unsigned short port);

/* Has it close what it has and exit. Does nothing the second time. */
void earlier_holder_end(struct earlier_holder *holder);

/* Lets go of it: it goes on for some seconds. */
void earlier_holder_leave(struct earlier_holder *holder);

/* For `vprox clean`: ends it if there is one, and removes its socket. Returns how many it has
 * found, or -errno, logged. */
int earlier_holder_clean(bool dry_run);
