/* Queues of packets without a key, under a lock. Run in every worker and in the control thread. */
#include "device/wireguard/staged_packets.h"

#include <stdlib.h>
#include <string.h>

#include "device/io/segment.h"

struct staged_queue {
	struct staged_packet *first, **last;
	unsigned int count;
};

void staged_packets_init(struct staged_packets *staged)
{
	pthread_mutex_init(&staged->lock, NULL);
	pthread_mutex_init(&staged->order, NULL);
	staged->bytes = 0;
}

void staged_packets_free(struct staged_packets *staged)
{
	pthread_mutex_destroy(&staged->order);
	pthread_mutex_destroy(&staged->lock);
}

static struct staged_queue *queue_of(struct wg_peer *peer)
{
	struct staged_queue *queue = atomic_load_explicit(&peer->staged, memory_order_relaxed);

	if (!queue) {
		queue = calloc(1, sizeof *queue);
		if (!queue)
			return NULL;
		queue->last = &queue->first;
		atomic_store_explicit(&peer->staged, queue, memory_order_relaxed);
	}
	return queue;
}

static void drop_first(struct staged_packets *staged, struct staged_queue *queue)
{
	struct staged_packet *packet = queue->first;

	queue->first = packet->next;
	if (!queue->first)
		queue->last = &queue->first;
	queue->count--;
	staged->bytes -= packet->length;
	free(packet);
}

void staged_packets_add(struct staged_packets *staged, struct wg_peer *peer,
	const struct virtio_net_hdr *header, const uint8_t *data, size_t length)
{
	struct staged_packet *packet =
		malloc(sizeof *packet + length + SEGMENT_PAD_MAX + AEAD_ROOM);
	struct staged_queue *queue = NULL;

	if (!packet)
		return;
	packet->next = NULL;
	packet->header = *header;
	packet->length = (uint32_t)length;
	memset(packet->room, 0, sizeof packet->room);
	memcpy(packet->data, data, length);
	pthread_mutex_lock(&staged->lock);
	if (staged->bytes + length <= STAGED_BYTES_MAX)
		queue = queue_of(peer);
	if (queue) {
		if (queue->count == STAGED_PACKETS_MAX)
			drop_first(staged, queue);
		*queue->last = packet;
		queue->last = &packet->next;
		queue->count++;
		staged->bytes += length;
	}
	pthread_mutex_unlock(&staged->lock);
	if (!queue)
		free(packet);
}

/* Removes all packets of a queue, or the queue if it has none. */
static struct staged_packet *remove_all(struct staged_packets *staged, struct wg_peer *peer)
{
	struct staged_queue *queue = atomic_load_explicit(&peer->staged, memory_order_relaxed);
	struct staged_packet *first = queue ? queue->first : NULL;

	if (!first) {
		atomic_store_explicit(&peer->staged, NULL, memory_order_release);
		free(queue);
		return NULL;
	}
	for (struct staged_packet *p = first; p; p = p->next)
		staged->bytes -= p->length;
	*queue = (struct staged_queue){.last = &queue->first};
	return first;
}

void staged_packets_begin(struct staged_packets *staged)
{
	pthread_mutex_lock(&staged->order);
}

struct staged_packet *staged_packets_next(struct staged_packets *staged, struct wg_peer *peer)
{
	struct staged_packet *first;

	pthread_mutex_lock(&staged->lock);
	first = remove_all(staged, peer);
	pthread_mutex_unlock(&staged->lock);
	if (!first)
		pthread_mutex_unlock(&staged->order);
	return first;
}

int staged_packets_each(struct staged_packets *staged, const struct wg_peer *peer,
	staged_packet_fn *found, void *context)
{
	const struct staged_queue *queue;
	int result = 0;

	pthread_mutex_lock(&staged->lock);
	queue = atomic_load_explicit(&peer->staged, memory_order_relaxed);
	for (const struct staged_packet *p = queue ? queue->first : NULL; p && result == 0;
		p = p->next)
		result = found(context, p);
	pthread_mutex_unlock(&staged->lock);
	return result;
}

void staged_packets_drop(struct staged_packets *staged, struct wg_peer *peer)
{
	struct staged_packet *packet, *next;

	staged_packets_begin(staged);
	while ((packet = staged_packets_next(staged, peer)))
		for (; packet; packet = next) {
			next = packet->next;
			free(packet);
		}
}
