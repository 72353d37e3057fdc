/* Sockets that are opened while there is the right to mark them, for c-ares to take later: see
 * ares_set_socket_functions(3). */
#pragma once

#include <stdint.h>

/* What c-ares 1.18 has is deprecated in 1.34, where there is more than one way. */
#define CARES_NO_DEPRECATED
#include <ares.h>

enum {
	/* A name server has one at a time, and another after it has failed. */
	MARKED_DATAGRAM_SOCKETS = 32,
	MARKED_STREAM_SOCKETS = 8, /* for answers of more than 512 bytes: RFC 1035, 4.2.1 */
};

struct marked_sockets;

/* One that does not block; mark 0: none. Returns it, or -errno. */
int marked_socket_open(int family, int type, uint32_t mark);

/* For IPv4, and for IPv6 where the kernel has it. mark 0: none. Returns 0 or -errno. */
int marked_sockets_open(uint32_t mark, struct marked_sockets **sockets);

/* The channel opens none itself from now on; where there is none left, its server fails. The
 * sockets must live as long as the channel. */
void marked_sockets_serve(struct marked_sockets *sockets, ares_channel channel);

/* Frees, and closes those that were not taken. NULL is fine. */
void marked_sockets_close(struct marked_sockets *sockets);
