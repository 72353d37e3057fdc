/*
 * The socket of a client that a gate has passed on along with its request. All that the broker
 * believes about the client it reads from there, from the kernel.
 */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"

/* The two ends of a client's connection. */
struct client_socket {
	struct ipv4 peer;
	struct ipv4 local;
	uint16_t peer_port, local_port;
};

/*
 * Takes a client's socket as the ground of one request: it is a TCP connection over IPv4, of the
 * network namespace that ours (any socket of the broker's) is of, and nothing was asked for with it
 * yet. The socket stays the caller's. Returns 0; -ENOTCONN if the client has gone, which no gate
 * can prevent; or what a gate that keeps to the rules never causes: -EALREADY for a socket that was
 * good for a request before, -EPROTO for one of another kind.
 */
int client_socket_claim(int fd, int ours, struct client_socket *client);
