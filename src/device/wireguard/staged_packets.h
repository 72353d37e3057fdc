/* Packets that wait for a key. Not on the data path: it may lock and allocate, within bounds. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "device/target.h"

enum {
	WAITING_PACKETS = 128, /* of a peer; the oldest go first */
	WAITING_BYTES = 4 << 20, /* of all peers */
};

struct waiting_room {
	pthread_mutex_t lock;
	size_t bytes;
};

struct waiting_packet {
	struct waiting_packet *next;
	struct virtio_net_hdr header;
	uint32_t length;
	uint8_t data[]; /* with room for SEGMENT_PAD_MAX more */
};

void waiting_init(struct waiting_room *room);
void waiting_free(struct waiting_room *room);

/* Copies a packet as it was read from the TUN. It is dropped if there is no room. */
void waiting_put(struct waiting_room *room, struct wireguard_target *target,
	const struct virtio_net_hdr *header, const uint8_t *data, size_t length);

/* All of a peer's, oldest first, now the caller's to free(); NULL if there are none. */
struct waiting_packet *waiting_take(struct waiting_room *room, struct wireguard_target *target);

/* Frees them. */
void waiting_drop(struct waiting_room *room, struct wireguard_target *target);

static inline bool waiting_any(const struct wireguard_target *target)
{
	return atomic_load_explicit(&target->waiting, memory_order_relaxed) != NULL;
}
