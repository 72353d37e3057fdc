/*
 * Records over a SOCK_SEQPACKET socket (handover_messages.h). Nobody waits for longer than
 * HANDOVER_STEP_MS for the other side. The control thread's, on both sides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/handover_messages.h"

enum {
	HANDOVER_STEP_MS = 2000,
	HANDOVER_PACKET_FILL = 64 * 1024, /* bytes: no further record is put into it */
	HANDOVER_PACKET_MAX = 128 * 1024, /* a super-packet and its header fit in */
};

struct handover_channel {
	int fd; /* owned */
	uint8_t *out, *in; /* of HANDOVER_PACKET_MAX bytes; they hold keys */
	size_t used; /* of out */
	size_t length, at; /* of in: what has come, and where the next record is */
	int received_fd; /* -1: none */
};

/* A record as it was received, until the next one is asked for. */
struct handover_record {
	enum handover_type type;
	const uint8_t *data;
	size_t length;
	int fd; /* the caller's; -1: none */
};

/* Takes over a connected socket, also when it fails. Returns 0 or -errno. */
int handover_channel_init(struct handover_channel *channel, int fd);
/* Wipes what it has carried. A zeroed one with fd = -1 is fine. */
void handover_channel_free(struct handover_channel *channel);

/* Puts a record into the next packet, which goes when it is full, or with handover_flush(). More
 * may lie behind the struct: handover_behind(). Return 0, -ETIMEDOUT, -EPIPE or another -errno. */
int handover_put(
	struct handover_channel *channel, enum handover_type type, const void *data, size_t length);
int handover_put_with(struct handover_channel *channel, enum handover_type type, const void *data,
	size_t length, const void *more, size_t more_length);
int handover_flush(struct handover_channel *channel);
/* A record with a descriptor, which stays the caller's, in a packet of its own. */
int handover_put_file(struct handover_channel *channel, const struct handover_file *file, int fd);

/* The next record; those that are not known and optional are skipped. Returns 0, -EPIPE (no more
 * will come), -ECONNRESET (the other side has gone; what came before may follow), -ETIMEDOUT,
 * -EPROTO (it is none), -EPROTONOSUPPORT (of another version, or not known), or another -errno. */
int handover_next(struct handover_channel *channel, struct handover_record *record);
/* Copies a record into a struct of this size: what is missing is zeros. */
void handover_read(const struct handover_record *record, void *fields, size_t size);
/* What lies behind the struct; NULL: nothing. */
const uint8_t *handover_behind(const struct handover_record *record, size_t size, size_t *length);
