#include "device/wireguard/mac1_filter.h"

#include <errno.h>
#include <stdlib.h>

struct screen_keys {
	struct epoch_node retired; /* first: see free_keys() */
	struct cookie_keys keys;
};

static void free_keys(struct epoch_node *node)
{
	free(node);
}

void screen_init(struct screen *screen, const struct index_table *indices, struct epoch *epoch)
{
	atomic_init(&screen->keys, NULL);
	screen->indices = indices;
	screen->epoch = epoch;
}

void screen_free(struct screen *screen)
{
	free(atomic_load_explicit(&screen->keys, memory_order_relaxed));
	atomic_init(&screen->keys, NULL);
}

int screen_set_keys(struct screen *screen, const struct cookie_keys *keys)
{
	struct screen_keys *before = atomic_load_explicit(&screen->keys, memory_order_relaxed);
	struct screen_keys *now = malloc(sizeof(*now));

	if (!now)
		return -ENOMEM;
	now->keys = *keys;
	atomic_store_explicit(&screen->keys, now, memory_order_release);
	if (before)
		epoch_retire(screen->epoch, &before->retired, free_keys);
	return 0;
}

static bool has_mac1(const struct screen *screen, struct blake2s *blake2s, const uint8_t *datagram,
	size_t length)
{
	const struct screen_keys *keys = atomic_load_explicit(&screen->keys, memory_order_acquire);

	return keys && cookie_check_mac1(&keys->keys, blake2s, datagram, length);
}

bool screen_lets_through(const struct screen *screen, struct blake2s *blake2s,
	const uint8_t *datagram, size_t length)
{
	const struct message_response *response = (const struct message_response *)datagram;
	const struct message_cookie *cookie = (const struct message_cookie *)datagram;
	const struct index_entry *entry;

	switch (messages_type(datagram, length)) {
	case MESSAGE_INITIATION:
		return has_mac1(screen, blake2s, datagram, length);
	case MESSAGE_RESPONSE:
		entry = index_lookup(screen->indices, le32_get(response->receiver));
		return entry && entry->kind == INDEX_HANDSHAKE &&
		       has_mac1(screen, blake2s, datagram, length);
	case MESSAGE_COOKIE:
		return index_lookup(screen->indices, le32_get(cookie->receiver)) != NULL;
	default:
		return false;
	}
}
