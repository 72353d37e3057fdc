/* The sockets that the gates accept on. */
#pragma once

#include <stddef.h>

#include "base/ipv4.h"

struct listeners {
	int *fds; /* close-on-exec, non-blocking */
	struct ipv4 *addresses; /* of each */
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

/* Listens on one more, and does not wait where the port is taken; the store keeps it too. Logs.
 * Returns the socket, which is the listeners', or -errno. */
int listeners_add(struct listeners *listeners, struct listener_store *store, struct ipv4 address,
	unsigned short port);
/* Closes the one of this address, and has the store keep it no longer. None is fine. */
void listeners_remove(struct listeners *listeners, struct listener_store *store,
	struct ipv4 address, unsigned short port);

/* Does nothing the second time. */
void listeners_close(struct listeners *listeners);
