#include "device/wireguard/staged_packets.h"

#include <stdlib.h>
#include <string.h>

#include "device/io/segment.h"

struct waiting {
	struct waiting_packet *first, **last;
	unsigned int count;
};

void waiting_init(struct waiting_room *room)
{
	pthread_mutex_init(&room->lock, NULL);
	room->bytes = 0;
}

void waiting_free(struct waiting_room *room)
{
	pthread_mutex_destroy(&room->lock);
}

static struct waiting *queue_of(struct wireguard_target *target)
{
	struct waiting *queue = atomic_load_explicit(&target->waiting, memory_order_relaxed);

	if (!queue) {
		queue = calloc(1, sizeof *queue);
		if (!queue)
			return NULL;
		queue->last = &queue->first;
		atomic_store_explicit(&target->waiting, queue, memory_order_relaxed);
	}
	return queue;
}

static void drop_first(struct waiting_room *room, struct waiting *queue)
{
	struct waiting_packet *packet = queue->first;

	queue->first = packet->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->count--;
	room->bytes -= packet->length;
	free(packet);
}

void waiting_put(struct waiting_room *room, struct wireguard_target *target,
	const struct virtio_net_hdr *header, const uint8_t *data, size_t length)
{
	struct waiting_packet *packet = malloc(sizeof *packet + length + SEGMENT_PAD_MAX);
	struct waiting *queue = NULL;

	if (!packet)
		return;
	packet->next = NULL;
	packet->header = *header;
	packet->length = (uint32_t)length;
	memcpy(packet->data, data, length);
	pthread_mutex_lock(&room->lock);
	if (room->bytes + length <= WAITING_BYTES)
		queue = queue_of(target);
	if (queue) {
		if (queue->count == WAITING_PACKETS)
			drop_first(room, queue);
		*queue->last = packet;
		queue->last = &packet->next;
		queue->count++;
		room->bytes += length;
	}
	pthread_mutex_unlock(&room->lock);
	if (!queue)
		free(packet);
}

struct waiting_packet *waiting_take(struct waiting_room *room, struct wireguard_target *target)
{
	struct waiting_packet *first = NULL;
	struct waiting *queue;

	pthread_mutex_lock(&room->lock);
	queue = atomic_exchange_explicit(&target->waiting, NULL, memory_order_relaxed);
	if (queue)
		first = queue->first;
	for (struct waiting_packet *p = first; p; p = p->next)
		room->bytes -= p->length;
	pthread_mutex_unlock(&room->lock);
	free(queue);
	return first;
}

void waiting_drop(struct waiting_room *room, struct wireguard_target *target)
{
	struct waiting_packet *next;

	for (struct waiting_packet *p = waiting_take(room, target); p; p = next) {
		next = p->next;
		free(p);
	}
}
