/*
 * From the sockets to the TUN: super-packets of one receive are opened where they lie, joined, and
 * written with one system call a flow. A receiver belongs to one thread; its functions are called
 * within that thread's epoch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/crypto/aead.h"
#include "device/crypto/blake2s.h"
#include "device/io/coalesce.h"
#include "device/handoff.h"
#include "device/shared.h"
#include "device/io/udp.h"

struct receiver {
	struct shared *shared;
	int tun; /* queue to write to */
	struct aead *aead;
	struct blake2s *blake2s;
	struct udp_batch *batch;
	struct coalescer *coalescer;
	struct handoff handoff; /* to the control thread */
	bool wake; /* it must be told of what is new there */
};

/* Returns 0, -ENOMEM or -EIO. */
int receiver_init(struct receiver *r, struct shared *shared, int tun);
void receiver_free(struct receiver *r);

/* Receives once from a UDP socket, and passes all of it on. Returns how many messages there were;
 * 0: none. */
int receive_udp(struct receiver *r, int fd, uint64_t now_ms);

/* What one receive brought; it may be written to, and stays in place until receive_flush(). */
void receive_message(struct receiver *r, const struct udp_message *message, uint64_t now_ms);

/* Passes on an inner packet that has been checked; it stays in place until receive_flush(). */
void receive_packet(struct receiver *r, uint8_t *data, size_t length);
/* One that goes to the TUN as the header says, after those before it. */
void receive_as_is(
	struct receiver *r, const struct virtio_net_hdr *header, uint8_t *data, size_t length);
void receive_flush(struct receiver *r);
