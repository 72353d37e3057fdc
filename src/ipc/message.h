/*
 * The messages between a gate and the broker, over a SOCK_SEQPACKET socket: one struct a packet,
 * always of the full size. Both ends are the same program on the same machine, so integers are in
 * the machine's byte order; addresses are struct ipv4. Neither end trusts the other: a packet that
 * does not decode ends the connection.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ipv4.h"
#include "base/key.h"

enum {
	IPC_VERSION = 1,
};

enum ipc_operation {
	IPC_CONNECT_WIREGUARD = 1,
	IPC_CONNECT_IPIP,
	IPC_DISCONNECT_WIREGUARD,
	IPC_DISCONNECT_IPIP,
	IPC_RELINQUISH,
	IPC_READY, /* once, before any other: the gate is confined and serves. Not answered */
	IPC_OPERATION_END,
};

enum ipc_status {
	IPC_OK = 1,
	IPC_POOL_EXHAUSTED, /* 503 */
	IPC_SHUTTING_DOWN, /* 503 */
	IPC_INVALID_KEY, /* 400: a key that cannot be a peer's, such as the server's own */
	IPC_FAILED, /* 500: the data plane refused */
	IPC_STATUS_END,
};

/* Gate to broker. */
struct ipc_request {
	uint32_t version; /* IPC_VERSION */
	uint16_t operation; /* enum ipc_operation */
	uint16_t endpoint; /* which of the server's --ip, in the order of the configuration, not the
			      index i */
	uint64_t id; /* the gate's; comes back in the reply */
	struct ipv4 source; /* the client's outer address */
	struct key key; /* the peer, in CONNECT_WIREGUARD and DISCONNECT_WIREGUARD; zero else */
	uint32_t reserved; /* zero */
};

enum ipc_reply_kind {
	IPC_ANSWER = 1, /* to the request of that id */
	IPC_DRAIN, /* close the listeners, finish what is in flight, exit */
	IPC_REPLY_KIND_END,
};

/* Broker to gate. */
struct ipc_reply {
	uint32_t version;
	uint16_t kind; /* enum ipc_reply_kind */
	uint16_t status; /* enum ipc_status; 0 in DRAIN */
	uint64_t id; /* 0 in DRAIN */
	struct ipv4 address; /* of CONNECT_*, when IPC_OK: the inner address */
	uint32_t reserved; /* zero */
};

/*
 * Check what was received: the size and every field's range. Return 0 or -EPROTO. The result is a
 * copy: nothing points into the packet.
 */
int ipc_decode_request(
	const void *packet, size_t length, uint16_t n_endpoints, struct ipc_request *request);
int ipc_decode_reply(const void *packet, size_t length, struct ipc_reply *reply);

/*
 * Send or receive one packet on a non-blocking socket. Return 0, -EAGAIN, -EPIPE or -ECONNRESET
 * when the other end is gone, -EPROTO for a packet that does not decode, or another errno.
 */
int ipc_send_request(int fd, const struct ipc_request *request);
int ipc_receive_request(int fd, uint16_t n_endpoints, struct ipc_request *request);
int ipc_send_reply(int fd, const struct ipc_reply *reply);
int ipc_receive_reply(int fd, struct ipc_reply *reply);
