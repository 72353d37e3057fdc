/*
 * From the sockets to the TUN: super-packets of one receive are opened where they lie, joined, and
 * written with one system call a flow. A receiver belongs to one thread; its functions are called
 * within that thread's epoch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/crypto/aead_batch.h"
#include "device/crypto/blake2s.h"
#include "device/handoff.h"
#include "device/io/tun_writer.h"
#include "device/io/udp.h"
#include "device/shared.h"

struct receiver {
	struct shared *shared;
	struct aead_batch *aead;
	struct blake2s *blake2s;
	struct udp_batch *batch;
	struct tun_writer writer;
	struct handoff handoff; /* to the control thread */
	bool wake; /* it must be told of what is new there */
};

/* tun: the queue to write to. Returns 0, -ENOMEM or -EIO. */
int receiver_init(struct receiver *r, struct shared *shared, int tun);
void receiver_free(struct receiver *r);

/* Receives once from a UDP socket, and passes all of it on. Returns how many messages there were;
 * 0: none. */
int receive_udp(struct receiver *r, int fd, uint64_t now_ms);

/* What one receive brought. Its bytes, and AEAD_ROOM behind them, may be written to, and as many
 * before them read; they stay in place until the flush of the receiver's writer. */
void receive_message(struct receiver *r, const struct udp_message *message, uint64_t now_ms);
