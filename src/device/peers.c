/* The device's peers, and its key. */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>

#include "device/ipip/fast_path.h"
#include "device/wireguard/allowedips_lookup.h"

int device_set_private_key(struct device *device, const struct key *key)
{
	int error = control_set_private_key(&device->shared.control, key);

	if (error == 0)
		device->private_key = *key;
	return error;
}

static void append(struct device *device, struct target *target)
{
	target->previous = device->last;
	target->next = NULL;
	*(device->last ? &device->last->next : &device->first) = target;
	device->last = target;
}

static void take_out(struct device *device, struct target *target)
{
	*(target->previous ? &target->previous->next : &device->first) = target->next;
	*(target->next ? &target->next->previous : &device->last) = target->previous;
}

struct wireguard_target *device_find(struct device *device, const struct key *public_key)
{
	struct peer *peer = control_find_peer(&device->shared.control, public_key);

	return peer ? target_of_peer(peer) : NULL;
}

int device_add(
	struct device *device, const struct key *public_key, struct wireguard_target **target)
{
	struct wireguard_target *made = calloc(1, sizeof *made);
	int error;

	if (!made)
		return -ENOMEM;
	made->target.kind = TARGET_WIREGUARD;
	error = control_add_peer(&device->shared.control, &made->peer, public_key);
	if (error < 0) {
		free(made);
		return error;
	}
	append(device, &made->target);
	*target = made;
	return 0;
}

static void free_ipip(struct epoch_node *node)
{
	free((char *)node - offsetof(struct ipip_target, retired));
}

void device_remove(struct device *device, struct target *target)
{
	struct shared *shared = &device->shared;

	take_out(device, target);
	allowedips_remove_all(&shared->inner, &target->inner);
	if (target->kind == TARGET_WIREGUARD) {
		control_remove_peer(&shared->control, &target_wireguard(target)->peer);
	} else {
		short_way_remove(device, target_ipip(target));
		allowedips_remove_all(&shared->outer, &target_ipip(target)->outer);
		epoch_retire(&shared->epoch, &target_ipip(target)->retired, free_ipip);
	}
}

void device_remove_all(struct device *device, enum target_kind kind)
{
	struct target *next;

	for (struct target *t = device->first; t; t = next) {
		next = t->next;
		if (t->kind == kind)
			device_remove(device, t);
	}
}

struct ipip_target *device_find_ipip(struct device *device, struct in_addr remote)
{
	struct allowedips_owner *owner = allowedips_lookup4(&device->shared.outer, &remote);

	return owner ? (struct ipip_target *)(void *)((char *)owner -
						      offsetof(struct ipip_target, outer))
		     : NULL;
}

enum { HOST = 32 };

int device_set_ipip(struct device *device, struct in_addr remote, struct in_addr inner)
{
	const uint8_t length = inner.s_addr == INADDR_ANY ? 0 : 32;
	struct shared *shared = &device->shared;
	struct ipip_target *target = device_find_ipip(device, remote);
	struct allowedips_owner *holder = allowedips_lookup4(&shared->inner, &inner);
	int error;

	if (target && target->source.s_addr == inner.s_addr)
		return 0;
	if (holder && target_of(holder)->kind == TARGET_IPIP &&
		target_ipip(target_of(holder))->source.s_addr == inner.s_addr)
		return -EADDRINUSE;
	if (target)
		device_remove(device, &target->target);
	target = calloc(1, sizeof *target);
	if (!target)
		return -ENOMEM;
	target->target.kind = TARGET_IPIP;
	target->remote = remote;
	target->source = inner;
	error = allowedips_insert(&shared->inner, AF_INET, &inner, length, &target->target.inner);
	if (error == 0)
		error = allowedips_insert(&shared->outer, AF_INET, &remote, HOST, &target->outer);
	if (error < 0) {
		allowedips_remove_all(&shared->inner, &target->target.inner);
		epoch_retire(&shared->epoch, &target->retired, free_ipip);
		return error;
	}
	append(device, &target->target);
	short_way_add(device, target);
	return 0;
}
