/* The sockets that the gates accept on. */
#pragma once

#include <stddef.h>

#include "base/ipv4.h"

struct listeners {
	int *fds; /* close-on-exec, non-blocking */
	size_t n;
};

struct listener_store;

/*
 * Listens on each address, also while no interface has it: with the socket of the server before, if
 * the store has it; and has the store keep them, and nothing else. A port that is taken is tried
 * again for a moment, since the gates of a server that was killed may hold it that much longer.
 * Logs what goes wrong. Returns 0 or -errno; to be closed in either case.
 */
int listeners_open(struct listeners *listeners, struct listener_store *store,
	const struct ipv4 *addresses, size_t n, unsigned short port);
/* Does nothing the second time. */
void listeners_close(struct listeners *listeners);
