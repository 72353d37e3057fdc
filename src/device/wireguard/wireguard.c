/* The peers by their public keys. The control thread's. */
#include "device/wireguard/wireguard.h"

static bool has_key(const struct hash_node *node, const void *key)
{
	const struct wg_peer *peer = hash_entry(node, struct wg_peer, node);

	return key_equal(&peer->remote.public_key, key);
}

struct wg_peer *wireguard_find_peer(const struct wireguard *wg, const struct key *public_key)
{
	struct hash_node *node = hash_find(&wg->peers, public_key, KEY_SIZE, has_key);

	return node ? hash_entry(node, struct wg_peer, node) : NULL;
}
