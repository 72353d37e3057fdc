/*
 * The messages between the broker and the process that writes the flow log, over a SOCK_SEQPACKET
 * socket: one struct a packet, always of the full size, in the machine's byte order. Neither end
 * trusts the other.
 */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"
#include "ipc/client_name.h"

enum {
	FLOWS_VERSION = 1,
	/* The descriptors that the process begins with. */
	FLOWS_FD_BROKER = 3,
	FLOWS_FD_EVENTS = 4, /* netlink/conntrack_events.h */
};

enum flows_kind {
	FLOWS_START = 1, /* to the process, first of all: whom it runs as, and whose flows */
	FLOWS_FILE, /* to it, with the file's descriptor: write there from now on */
	FLOWS_BEGIN, /* to it: a client has an inner address */
	FLOWS_END, /* to it: it has it no longer */
	FLOWS_TOLD, /* to it: that was all who have one, or had one lately */
	FLOWS_READY, /* from it: it is confined */
	FLOWS_STATE, /* from it: what it has written, and what it could not */
	FLOWS_KIND_END,
};

enum flows_client {
	FLOWS_WIREGUARD = 1,
	FLOWS_IPIP,
	FLOWS_CLIENT_END,
};

/* Zero is what a message of its kind does not have. It has no padding. */
struct flows_message {
	uint32_t version; /* FLOWS_VERSION */
	uint32_t kind; /* enum flows_kind */
	/* START; the prefix is what all inner addresses are in */
	uint32_t user, group, log_level, log_format;
	struct ipv4 block;
	uint32_t block_length;
	/* BEGIN and END */
	struct ipv4 inner;
	uint32_t client; /* enum flows_client; BEGIN only, as the name */
	struct client_name name;
	uint64_t when_ns; /* since 1970; 0: not known */
	/* STATE: since the process was started */
	uint64_t n_written, n_lost;
	uint64_t is_failing; /* the last line could not be written */
};

/*
 * Send or receive one packet, and wait for nothing. Return 0, -EAGAIN, -EPIPE or -ECONNRESET when
 * the other end is gone, -EPROTO for a packet that does not decode, or another errno. With FILE,
 * and only with it, there goes a descriptor; else it is -1. The one that is sent stays the
 * sender's, the one that is received is the receiver's (close-on-exec).
 */
int flows_send(int fd, const struct flows_message *message, int descriptor);
int flows_receive(int fd, struct flows_message *message, int *descriptor);
