/*
 * All peers of the device in one list, the table of inner addresses, and the device's key. Runs in
 * the control thread. Of the life of a WireGuard peer tells wireguard/peer.h; an IPIP peer is
 * retired to the epoch, and freed there, when it is removed.
 */
#include "device/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/control.h"
#include "device/wireguard/allowedips_lookup.h"

enum { HOST_PREFIX = 32 };

int device_set_private_key(struct device *device, const struct key *key)
{
	int error = control_set_private_key(&device->shared.wireguard, key);

	if (error < 0)
		return error;
	device->private_key = *key;
	if (!key_is_zero(key))
		key_clamp(&device->private_key); /* as the kernel and wireguard-go tell it */
	return 0;
}

static void append(struct device *device, struct target *target)
{
	target->previous = device->last;
	target->next = NULL;
	*(device->last ? &device->last->next : &device->first) = target;
	device->last = target;
}

static void unlink_target(struct device *device, struct target *target)
{
	for (struct peer_cursor *cursor = device->cursors; cursor; cursor = cursor->other)
		if (cursor->next == target)
			cursor->next = target->next;
	*(target->previous ? &target->previous->next : &device->first) = target->next;
	*(target->next ? &target->next->previous : &device->last) = target->previous;
}

void peer_cursor_begin(struct device *device, struct peer_cursor *cursor)
{
	cursor->next = device->first;
	cursor->other = device->cursors;
	device->cursors = cursor;
}

struct target *peer_cursor_next(struct peer_cursor *cursor)
{
	struct target *target = cursor->next;

	if (target)
		cursor->next = target->next;
	return target;
}

void peer_cursor_end(struct device *device, struct peer_cursor *cursor)
{
	struct peer_cursor **at = &device->cursors;

	while (*at && *at != cursor)
		at = &(*at)->other;
	if (*at)
		*at = cursor->other;
}

struct wg_peer *device_find_peer(struct device *device, const struct key *public_key)
{
	return wireguard_find_peer(&device->shared.wireguard, public_key);
}

int device_adopt_peer(
	struct device *device, const struct noise_remote *remote, struct wg_peer **peer)
{
	struct wg_peer *new = calloc(1, sizeof *new);
	int error;

	if (!new)
		return -ENOMEM;
	new->target.kind = TARGET_WIREGUARD;
	new->remote = *remote;
	error = control_add_peer(&device->shared.wireguard, new, &remote->public_key);
	if (error < 0) {
		explicit_bzero(new, sizeof *new);
		free(new);
		return error;
	}
	append(device, &new->target);
	*peer = new;
	return 0;
}

int device_add_peer(struct device *device, const struct key *public_key, struct wg_peer **peer)
{
	const struct noise_remote remote = {.public_key = *public_key};

	return device_adopt_peer(device, &remote, peer);
}

static void free_ipip(struct epoch_node *node)
{
	free((char *)node - offsetof(struct ipip_peer, retired));
}

static void remove_ipip(struct device *device, struct ipip_peer *peer)
{
	fast_path_remove(&device->fast_path, peer);
	allowedips_remove_all(&device->shared.ipip.peers, &peer->outer);
	epoch_retire(&device->shared.epoch, &peer->retired, free_ipip);
}

void device_remove_peer(struct device *device, struct target *target)
{
	unlink_target(device, target);
	allowedips_remove_all(&device->shared.inner, &target->inner);
	if (target->kind == TARGET_WIREGUARD)
		control_remove_peer(&device->shared.wireguard, wg_peer_of(target));
	else
		remove_ipip(device, ipip_peer_of(target));
}

void device_remove_peers(struct device *device, enum target_kind kind)
{
	struct target *next;

	for (struct target *t = device->first; t; t = next) {
		next = t->next;
		if (t->kind == kind)
			device_remove_peer(device, t);
	}
}

/* Whether an IPIP peer has this very inner address, or any address. */
static bool is_taken(const struct device *device, struct in_addr inner)
{
	struct allowedips_owner *owner = allowedips_lookup4(&device->shared.inner, &inner);

	return owner && target_of(owner)->kind == TARGET_IPIP &&
	       ipip_peer_of(target_of(owner))->source.s_addr == inner.s_addr;
}

int device_set_ipip_peer(struct device *device, struct in_addr remote, struct in_addr inner)
{
	const uint8_t length = inner.s_addr == INADDR_ANY ? 0 : HOST_PREFIX;
	struct shared *shared = &device->shared;
	struct ipip_peer *peer = ipip_find_peer(&shared->ipip, remote);
	int error;

	if (peer && peer->source.s_addr == inner.s_addr)
		return 0;
	if (is_taken(device, inner))
		return -EADDRINUSE;
	if (peer)
		device_remove_peer(device, &peer->target);
	peer = calloc(1, sizeof *peer);
	if (!peer)
		return -ENOMEM;
	peer->target.kind = TARGET_IPIP;
	peer->remote = remote;
	peer->source = inner;
	error = allowedips_insert(&shared->inner, AF_INET, &inner, length, &peer->target.inner);
	if (error == 0)
		error = allowedips_insert(
			&shared->ipip.peers, AF_INET, &remote, HOST_PREFIX, &peer->outer);
	if (error < 0) {
		allowedips_remove_all(&shared->inner, &peer->target.inner);
		epoch_retire(&shared->epoch, &peer->retired, free_ipip);
		return error;
	}
	append(device, &peer->target);
	fast_path_update(&device->fast_path, peer);
	return 0;
}
