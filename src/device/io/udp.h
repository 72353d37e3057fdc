/*
 * The UDP sockets of the outer packets. Many packets of one length go out and come in with one
 * system call (UDP_SEGMENT, UDP_GRO) where the kernel and the outgoing device can do it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "device/io/refusals.h"
#include "device/io/udp_endpoint.h"

enum {
	UDP_SEND_MAX = 65507, /* bytes in one call; IPv6 could have 20 more */
	UDP_SEGMENTS = 64, /* packets in one call, as many as every kernel takes */
	UDP_BATCH = 8, /* super-packets in one receive */
	UDP_ROOM = 64, /* bytes before and behind what one receive brought that are there, too */
};

/*
 * Opens a socket for AF_INET or AF_INET6 (that alone) on a port, host byte order; 0 lets the kernel
 * choose. mark is the firewall mark, 0 for none, which needs CAP_NET_ADMIN. A socket that shares
 * the port with earlier ones of the same device: the kernel spreads the flows among them. Returns
 * it, non-blocking for receiving, or -errno.
 */
int udp_open(int family, uint16_t port, uint32_t mark, bool shared);
/* Lets later sockets share the port of this one. Returns 0 or -errno. */
int udp_share(int fd);
/* The port, host byte order, or -errno. */
int udp_port(int fd);
/* The firewall mark; 0: none. */
uint32_t udp_mark(int fd);
/* Whether packets that arrive together are received with one call. */
bool udp_joins(int fd);

/* What one receive brought. */
struct udp_message {
	struct udp_endpoint from;
	uint8_t *data;
	size_t length;
	size_t step; /* length of each packet in it but the last, which may be shorter */
	uint8_t ecn; /* of the outer headers: enum ecn */
};

struct udp_batch;
/* Buffers for UDP_BATCH super-packets. NULL without memory. */
struct udp_batch *udp_batch_new(struct refusals *refusals);
void udp_batch_free(struct udp_batch *batch);

/* Receives what there is. Returns the number of messages, 0 if there are none, or -errno. The
 * buffers may be written to, until the next call. */
int udp_receive(int fd, struct udp_batch *batch, struct udp_message messages[UDP_BATCH]);

/* Packets that lie one after the other. */
struct udp_burst {
	const uint8_t *data;
	size_t length; /* at most UDP_SEND_MAX, in at most UDP_SEGMENTS packets */
	size_t step; /* length of each packet but the last, which may be shorter */
	uint8_t tos; /* of the outer headers, or traffic class */
	bool bound; /* from the local address in `to`, or not at all */
};

/*
 * Sends them. *plain tells whether the path to this peer refuses super-packets, and is set when
 * that is found out: each packet is then sent by itself. A local address that is no longer this
 * host's is cleared in `to`, unless the burst is bound to it. Returns 0 or -errno.
 */
int udp_send(int fd, struct udp_endpoint *to, const struct udp_burst *burst, bool *plain);
