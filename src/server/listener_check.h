/* Whether a listening socket that was passed on to us is as good as a new one. */
#pragma once

#include "base/ipv4.h"

/*
 * Checks that fd listens at that address and port, in our network namespace, and has each option,
 * packet filters among them, as the reference has it: a socket that was made as ours are and does
 * not listen yet. Whoever had it before us may have been taken over. Sets its status flags and the
 * length of its queue. Returns 0, or -errno with what is wrong in words.
 */
int listener_check(
	int fd, int reference, struct ipv4 address, unsigned short port, const char **what);

/* Likewise only which address and port it listens at. Returns 0, or -EPROTO: it is no listening
 * socket of TCP over IPv4. */
int listener_read_address(int fd, struct ipv4 *address, unsigned short *port);

enum {
	LISTENER_BACKLOG = 4096, /* a reconnect storm; the kernel cuts it to net.core.somaxconn */
};
