/*
 * The messages between a gate and the broker, over a SOCK_SEQPACKET socket: one struct a packet,
 * always of the full size. Both ends are the same program on the same machine, so integers are in
 * the machine's byte order; addresses are struct ipv4. Neither end trusts the other: a packet that
 * does not decode ends the connection.
 *
 * A request does not say where the client is: the client's socket goes along with it (SCM_RIGHTS,
 * unix(7)), and the broker asks the kernel. What the client is called is the gate's to say: only it
 * has seen what the client has shown.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ipv4.h"
#include "base/key.h"
#include "ipc/client_name.h"
#include "ipc/gate_endpoint.h"
#include "ipc/live_settings.h"
#include "ipc/refusals.h"

enum {
	IPC_VERSION = 7,
	/* Requests of a gate that are not answered yet. The broker does not wait for a gate to
	 * read, so its answers to all of them must fit into the socket, which holds some 270; and
	 * that many descriptors are on their way at the most. */
	IPC_OUTSTANDING_MAX = 128,
};

enum ipc_operation {
	IPC_CONNECT_WIREGUARD = 1,
	IPC_CONNECT_IPIP,
	IPC_DISCONNECT_WIREGUARD,
	IPC_DISCONNECT_IPIP,
	IPC_RELINQUISH,
	IPC_READY, /* once, before any other: the gate is confined and serves. Not answered, and
		      without a socket */
	IPC_REFUSED, /* it has refused requests by itself. Not answered, without a socket */
	IPC_FETCH_KEYS, /* of an issuer: a token is of a key that is not known. Likewise */
	IPC_OPERATION_END,
};

enum ipc_status {
	IPC_OK = 1,
	IPC_TOO_MANY_PEERS, /* 429: of this source */
	IPC_POOL_EXHAUSTED, /* 503 */
	IPC_SHUTTING_DOWN, /* 503 */
	IPC_INVALID_KEY, /* 400: a key that cannot be a peer's, such as the server's own */
	IPC_FAILED, /* 500: the data plane refused */
	IPC_NOT_SERVED, /* 503: the address that the client came to is not served any more */
	IPC_OTHER_CLIENT, /* 409: the tunnel to the client's address is another's */
	IPC_WRONG_SOURCE, /* 500: no such tunnel is possible to where the client is */
	IPC_UNAUTHORIZED, /* 401: the name that the gate has found is good no more */
	IPC_TOO_MANY_OF_NAME, /* 429: of this name */
	IPC_NOT_ALLOWED, /* 403: this name may not relinquish */
	IPC_STATUS_END,
};

/* Gate to broker. */
struct ipc_request {
	uint32_t version; /* IPC_VERSION */
	uint16_t operation; /* enum ipc_operation */
	uint16_t issuer; /* of FETCH_KEYS: its number (ipc/issuer_sheet.h); zero in all others */
	uint64_t id; /* the gate's; comes back in the reply */
	/* CONNECT_WIREGUARD, DISCONNECT_WIREGUARD: the peer. CONNECT_IPIP, DISCONNECT_IPIP: the
	 * SHA-256 of the id that the client gives itself, zero: it gives none. Zero in all others.
	 */
	struct key key;
	struct client_name name; /* that the client has shown to have; none where there is no
				     socket */
	struct refused_request refusal; /* of REFUSED; all zero else */
};

enum ipc_reply_kind {
	IPC_ANSWER = 1, /* to the request of that id */
	IPC_DRAIN, /* close the listeners, finish what is in flight, exit */
	IPC_SIGNER, /* with a socket to a signer (ipc/signing.h), in place of the one before */
	IPC_HAND_OVER, /* as IPC_DRAIN, but who is connected is still served: others wait at the
			  listeners for the next server */
	IPC_ENDPOINT, /* with its listening socket: one more to serve */
	IPC_ENDPOINT_GONE, /* serve it no more: close its socket */
	IPC_LIVE_SETTINGS, /* in place of those before */
	IPC_TOKENS, /* with a file of tokens (ipc/token_set.h), in place of the one before */
	IPC_REPLY_KIND_END,
};

/* Broker to gate. */
struct ipc_reply {
	uint32_t version;
	uint16_t kind; /* enum ipc_reply_kind */
	uint16_t status; /* enum ipc_status; 0 in all others */
	uint64_t id; /* 0 in all others */
	struct ipv4 address; /* of CONNECT_*, when IPC_OK: the inner address */
	uint32_t reserved; /* zero */
	struct gate_endpoint endpoint; /* of ENDPOINT; its bind address, of ENDPOINT_GONE */
	struct live_settings live; /* of LIVE_SETTINGS; all zero else */
};

/*
 * Check what was received: the size and every field's range. Return 0 or -EPROTO. The result is a
 * copy: nothing points into the packet.
 */
int ipc_decode_request(const void *packet, size_t length, struct ipc_request *request);
int ipc_decode_reply(const void *packet, size_t length, struct ipc_reply *reply);

/*
 * Send or receive one packet on a non-blocking socket. Return 0, -EAGAIN, -EPIPE or -ECONNRESET
 * when the other end is gone, -EPROTO for a packet that does not decode, or another errno.
 *
 * With a request goes the client's socket, -1 with IPC_READY and IPC_REFUSED. It stays the
 * sender's, who may close it; the receiver gets a descriptor of its own (close-on-exec), to be
 * closed. A packet with another number of descriptors does not decode. -ETOOMANYREFS: too many
 * descriptors of the sender's user are on their way, to be tried again.
 */
int ipc_send_request(int fd, const struct ipc_request *request, int client);
int ipc_receive_request(int fd, struct ipc_request *request, int *client);

/* Likewise. With SIGNER, ENDPOINT and TOKENS, and only with them, there goes a descriptor; else it
 * is -1. The one that is sent stays the sender's, the one that is received is the receiver's. */
int ipc_send_reply(int fd, const struct ipc_reply *reply, int descriptor);
int ipc_receive_reply(int fd, struct ipc_reply *reply, int *descriptor);
