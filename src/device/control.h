/*
 * The control thread's side of WireGuard: its configuration, the workers' requests and the timers.
 * What is to be sent goes through wireguard_ops: it knows no sockets and does not block.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "device/wireguard/wireguard.h"

/* Replace clock, wall_ns and random for tests. Returns 0, -ENOMEM or -EIO. */
int control_init(struct wireguard *wg, struct epoch *epoch, const struct wireguard_ops *ops,
	void *context, const struct clock *clock, uint64_t (*wall_ns)(void),
	noise_random_fn *random);
/* All peers have been removed, and all readers of the epoch are offline for good: those that were
 * not yet released are now. The epoch must still be there. */
void control_free(struct wireguard *wg);

/* A zero key means none. Unless it is the one there is, it ends all sessions. Handshakes of a peer
 * with our own public key are ignored. Returns 0, -ENOMEM or -EIO. */
int control_set_private_key(struct wireguard *wg, const struct key *private_key);

/* Down: sessions end, timers stop. Up: persistent keepalives begin. */
void control_set_up(struct wireguard *wg, bool up);

/* The host has been suspended. Keys that have grown too old are forgotten, and with each peer that
 * has a session a handshake begins at once. */
void control_resume(struct wireguard *wg);

/* The peer is all zeros, but for remote.static_static where that is known, and what it lies in is
 * the caller's. Returns 0 or -EEXIST. */
int control_add_peer(struct wireguard *wg, struct wg_peer *peer, const struct key *public_key);
/* Ends its session; once no worker can hold it, ops->release frees it. Nobody must be able to find
 * it any more: take it out of the allowed IPs before. */
void control_remove_peer(struct wireguard *wg, struct wg_peer *peer);

/* NULL or all zeros: none. For the next handshake. Returns 0 or -ENOMEM. */
int control_set_preshared(struct wg_peer *peer, const struct key *preshared);
/* 0: off. Switched on, one is sent at once. Returns 0 or -ENOMEM. */
int control_set_persistent(struct wireguard *wg, struct wg_peer *peer, uint16_t seconds);

/* Deals with the inbox and with the timers that are due, and frees what the epoch lets go. Call it
 * when woken and when control_deadline() has come. */
void control_run(struct wireguard *wg);

/* When to call control_run() next, in ms of the clock; UINT64_MAX: when woken. */
uint64_t control_deadline(const struct wireguard *wg);
