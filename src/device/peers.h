/* The device's peers of both kinds, and its key: what changes them. The control thread's. */
#pragma once

#include "device/device.h"

/* Those that return int return 0 or a negative errno, and change nothing then. */

int device_set_private_key(struct device *device, const struct key *key);

/* NULL: there is no such peer. */
struct wg_peer *device_find_peer(struct device *device, const struct key *public_key);
int device_add_peer(struct device *device, const struct key *public_key, struct wg_peer **peer);
/* Likewise, of which more may be known: static_static; the preshared key is set later. */
int device_adopt_peer(
	struct device *device, const struct noise_remote *remote, struct wg_peer **peer);

/*
 * Peers are read in several pieces, as there may be many: each that is there from the begin to the
 * end is met once. The cursor is the caller's, and must be ended.
 * A device that is freed has none any more.
 */
void peer_cursor_begin(struct device *device, struct peer_cursor *cursor);
/* The next one; NULL: that was all. */
struct target *peer_cursor_next(struct peer_cursor *cursor);
void peer_cursor_end(struct device *device, struct peer_cursor *cursor);

/* Makes the peer, or gives it another inner address. -EADDRINUSE: another peer has it. */
int device_set_ipip_peer(struct device *device, struct in_addr remote, struct in_addr inner);

/* Takes its prefixes away, and has it freed once no worker can hold it. */
void device_remove_peer(struct device *device, struct target *target);
/* All of one kind. */
void device_remove_peers(struct device *device, enum target_kind kind);
