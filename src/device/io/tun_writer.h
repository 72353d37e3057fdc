/*
 * Writes inner packets to a queue of the TUN, joined where they can be, with one system call for
 * what was joined. One thread's; what is added stays in place until the flush.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "device/io/coalesce.h"
#include "device/io/drops.h"
#include "device/io/refusals.h"

struct tun_writer {
	int tun; /* queue to write to; not owned */
	struct drops *drops;
	struct coalescer *coalescer;
	struct refusals *refusals;
	/* Some kernels take the offload and refuse what is joined. */
	uint32_t single_left; /* packets to go one by one; 0: they are joined */
	uint8_t *whole; /* for one that was refused; NULL: none was yet */
};

/* uso: whether the TUN takes UDP super-packets. Returns 0 or -ENOMEM. */
int tun_writer_init(struct tun_writer *writer, int tun, bool uso, struct drops *drops,
	struct refusals *refusals);
/* Nothing is flushed. */
void tun_writer_free(struct tun_writer *writer);

/* Adds an inner packet that has been checked. Its bytes may be written to until the flush. */
void tun_writer_add(struct tun_writer *writer, uint8_t *data, size_t length);
/* Writes one as the header says, after those that were added before it. */
void tun_writer_write(struct tun_writer *writer, const struct virtio_net_hdr *header, uint8_t *data,
	size_t length);
void tun_writer_flush(struct tun_writer *writer);
