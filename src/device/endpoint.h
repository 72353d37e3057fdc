/* Where a peer is, as its last authentic packet told: its address, and ours that it talks to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <netinet/in.h>
#include <sys/socket.h>

struct endpoint {
	union {
		struct sockaddr any; /* AF_UNSPEC: not known */
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} remote;
	union {
		struct in_addr v4; /* all zero: the routing decides */
		struct in6_addr v6;
	} local; /* of the remote's family */
};

static inline socklen_t endpoint_size(const struct endpoint *e)
{
	return e->remote.any.sa_family == AF_INET6 ? sizeof e->remote.v6 : sizeof e->remote.v4;
}

/* Compares both addresses. */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
