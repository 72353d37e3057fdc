/* Drops handshake messages that need not be looked into any further. Runs in every worker. */
#include "device/wireguard/mac1_filter.h"

#include <errno.h>
#include <stdlib.h>

struct mac1_filter_keys {
	struct epoch_node retired; /* first: see free_keys() */
	struct cookie_keys keys;
};

static void free_keys(struct epoch_node *node)
{
	free(node);
}

void mac1_filter_init(
	struct mac1_filter *filter, const struct index_table *indices, struct epoch *epoch)
{
	atomic_init(&filter->keys, NULL);
	filter->indices = indices;
	filter->epoch = epoch;
}

void mac1_filter_free(struct mac1_filter *filter)
{
	free(atomic_load_explicit(&filter->keys, memory_order_relaxed));
	atomic_init(&filter->keys, NULL);
}

int mac1_filter_set_keys(struct mac1_filter *filter, const struct cookie_keys *keys)
{
	struct mac1_filter_keys *before = atomic_load_explicit(&filter->keys, memory_order_relaxed);
	struct mac1_filter_keys *now = malloc(sizeof(*now));

	if (!now)
		return -ENOMEM;
	now->keys = *keys;
	atomic_store_explicit(&filter->keys, now, memory_order_release);
	if (before)
		epoch_retire(filter->epoch, &before->retired, free_keys);
	return 0;
}

static bool has_mac1(const struct mac1_filter *filter, struct blake2s *blake2s,
	const uint8_t *datagram, size_t length)
{
	const struct mac1_filter_keys *keys =
		atomic_load_explicit(&filter->keys, memory_order_acquire);

	return keys && cookie_check_mac1(&keys->keys, blake2s, datagram, length);
}

bool mac1_filter_passes(const struct mac1_filter *filter, struct blake2s *blake2s,
	const uint8_t *datagram, size_t length)
{
	const struct message_response *response = (const struct message_response *)datagram;
	const struct message_cookie *cookie = (const struct message_cookie *)datagram;
	const struct index_entry *entry;

	switch (messages_type(datagram, length)) {
	case MESSAGE_INITIATION:
		return has_mac1(filter, blake2s, datagram, length);
	case MESSAGE_RESPONSE:
		entry = index_lookup(filter->indices, le32_get(response->receiver));
		return entry && entry->kind == INDEX_HANDSHAKE &&
		       has_mac1(filter, blake2s, datagram, length);
	case MESSAGE_COOKIE:
		return index_lookup(filter->indices, le32_get(cookie->receiver)) != NULL;
	default:
		return false;
	}
}
