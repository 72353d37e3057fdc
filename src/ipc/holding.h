/*
 * The messages between a server and a holder of its listening sockets, over SOCK_SEQPACKET sockets:
 * one struct a packet, always of the full size, in the machine's byte order.
 *
 * The server that has started a holder has a socket pair to it. The next server connects to
 * HOLDER_SOCKET, which only root may, or who the server runs as, and asks for one listener after
 * the other. It may be of another release: so nothing here is changed, but what is added.
 */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "base/lock.h"

#define HOLDER_SOCKET RUN_FOLDER "/listeners.sock"
#define HOLDER_SOCKET_NEW HOLDER_SOCKET ".new" /* until somebody listens on it */

enum {
	HOLDING_VERSION = 1,
	/* The descriptors that a holder begins with. */
	HOLDER_FD_SERVER = 3,
	HOLDER_FD_SOCKET = 4, /* bound to HOLDER_SOCKET_NEW */
	/* How long it holds the listeners when there is no server. */
	HOLDER_TIME_MS = 10000,
};

enum holding_kind {
	HOLDING_START = 1, /* to the holder, first of all: whom it runs as */
	HOLDING_READY, /* from it: it listens on HOLDER_SOCKET, and is confined */
	HOLDING_HOLD, /* to it, with a listener */
	HOLDING_DROP, /* to it: hold this one no longer */
	HOLDING_TAKE, /* to it: answered by one of the next two */
	HOLDING_TAKEN, /* from it, with the listener, which it goes on holding */
	HOLDING_NONE, /* from it: there is no such */
	HOLDING_END, /* to it: close all, and exit */
	HOLDING_KIND_END,
};

struct holding_message {
	uint32_t version; /* HOLDING_VERSION */
	uint16_t kind; /* enum holding_kind */
	uint16_t port; /* TCP's, in HOLD, DROP, TAKE; zero else */
	struct ipv4 address; /* likewise */
	uint32_t user, group, owner; /* in START; owner: who may ask, besides root. Zero else */
};

/*
 * Send or receive one packet, and wait for nothing. Return 0, -EAGAIN, -EPIPE or -ECONNRESET when
 * the other end is gone, -EPROTO for a packet that does not decode, or another errno. With HOLD and
 * TAKEN, and only with them, there goes a descriptor; else it is -1. The one that is sent stays the
 * sender's, the one that is received is the receiver's (close-on-exec).
 */
int holding_send(int fd, const struct holding_message *message, int descriptor);
int holding_receive(int fd, struct holding_message *message, int *descriptor);
