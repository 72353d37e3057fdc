/*
 * Packets that wait for a key, in a queue for each peer that has any. Workers add, whoever has a
 * key sends. Not on the data path: it may lock and allocate, within bounds.
 *
 * Order is kept: a queue is there until the last of its packets has been sent, and who finds one
 * waits for that before it sends what is newer.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "device/crypto/aead_batch.h"
#include "device/wireguard/peer.h"

enum {
	STAGED_PACKETS_MAX = 128, /* of a peer; the oldest go first */
	STAGED_BYTES_MAX = 4 << 20, /* of all peers */
};

struct staged_packets {
	pthread_mutex_t lock;
	pthread_mutex_t order; /* of who sends what waited; taken before `lock` */
	size_t bytes;
};

struct staged_packet {
	struct staged_packet *next;
	struct virtio_net_hdr header;
	uint32_t length;
	uint8_t room[AEAD_ROOM]; /* zeros */
	uint8_t data[]; /* with room for SEGMENT_PAD_MAX more, and AEAD_ROOM */
};

void staged_packets_init(struct staged_packets *staged);
void staged_packets_free(struct staged_packets *staged);

/* Copies a packet as it was read from the TUN. It is dropped if there is no room. */
void staged_packets_add(struct staged_packets *staged, struct wg_peer *peer,
	const struct virtio_net_hdr *header, const uint8_t *data, size_t length);

/*
 * To send what waits: begin(), then next() until it returns NULL, which ends it. In between others
 * wait; what one call has given is sent before the next.
 */
void staged_packets_begin(struct staged_packets *staged);
/* All of a peer's, oldest first, now the caller's to free(). */
struct staged_packet *staged_packets_next(struct staged_packets *staged, struct wg_peer *peer);

/* Calls for each of a peer's, oldest first, until that returns another value than 0, which is then
 * returned; they stay. */
typedef int staged_packet_fn(void *context, const struct staged_packet *packet);
int staged_packets_each(struct staged_packets *staged, const struct wg_peer *peer,
	staged_packet_fn *found, void *context);

/* Frees them. */
void staged_packets_drop(struct staged_packets *staged, struct wg_peer *peer);

static inline bool staged_packets_any(const struct wg_peer *peer)
{
	return atomic_load_explicit(&peer->staged, memory_order_acquire) != NULL;
}
