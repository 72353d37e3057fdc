/*
 * The messages between the broker and the process that serves metrics, over a SOCK_SEQPACKET
 * socket: one struct a packet, always of the full size, in the machine's byte order. Neither end
 * trusts the other.
 *
 * A report (ipc/report.h, REPORT_SUMS) goes along as a file in memory, so that nobody waits for
 * anybody to read.
 */
#pragma once

#include <stdint.h>

enum {
	METRICS_VERSION = 1,
	/* The descriptors that the process begins with. */
	METRICS_FD_BROKER = 3,
	METRICS_FD_LISTENER = 4, /* TCP, listening, non-blocking */
	METRICS_REPORT_MAX_SIZE = 16 << 20, /* of a report, in bytes */
};

enum metrics_kind {
	METRICS_START = 1, /* to the process, first of all: whom it runs as */
	METRICS_READY, /* from it: it is confined, and serves */
	METRICS_ASK, /* from it: for a report */
	METRICS_REPORT, /* to it: with the report's file, whose offset is at its beginning */
	METRICS_KIND_END,
};

struct metrics_message {
	uint32_t version; /* METRICS_VERSION */
	uint32_t kind; /* enum metrics_kind */
	uint32_t user, group, log_level, log_format; /* in START; zero else */
	uint32_t length; /* in REPORT: of the file, in bytes; zero else */
};

/*
 * Send or receive one packet, and wait for nothing. Return 0, -EAGAIN, -EPIPE or -ECONNRESET when
 * the other end is gone, -EPROTO for a packet that does not decode, or another errno. With REPORT,
 * and only with it, there goes a descriptor; else it is -1. The one that is sent stays the
 * sender's, the one that is received is the receiver's (close-on-exec).
 */
int metrics_send(int fd, const struct metrics_message *message, int descriptor);
int metrics_receive(int fd, struct metrics_message *message, int *descriptor);
