/*
 * A WireGuard peer: what is kept of it always, kept small, and its session, which is there only
 * while it is in use. To be embedded in what a device keeps of a peer.
 *
 * Workers read keys through the session and ask the control thread for what only it may do, through
 * the inbox. All else is the control thread's.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/key.h"
#include "device/wireguard/cookie.h"
#include "base/epoch.h"
#include "device/wireguard/keypair.h"
#include "device/wireguard/noise.h"
#include "device/wireguard/timers.h"

/* What workers ask for. */
enum peer_request {
	PEER_WATCH = 1, /* a timers_note_* function returned true */
	PEER_HANDSHAKE = 2, /* no key is alive, or it is time for a new one */
	PEER_CONFIRM = 4, /* keypair_confirm() returned true */
};

/* A handshake that we have begun. Each has an index of its own, which workers may come upon. */
struct attempt {
	struct index_entry entry; /* kind INDEX_HANDSHAKE */
	struct peer *peer;
	struct handshake handshake;
	struct epoch_node retired;
};

struct control;

struct session {
	struct keypairs keypairs;
	struct timers timers;
	struct peer *peer;
	struct attempt *attempt; /* NULL: none */
	struct cookie_jar jar;
	struct epoch_node retired;
};

struct peer {
	union {
		struct hash_node node; /* in control.peers, by public key */
		struct epoch_node retired; /* once it is removed */
	};
	struct control *control;
	struct noise_remote remote; /* its preshared key is owned: see control_set_preshared() */
	_Atomic(struct session *) session; /* NULL while idle */

	struct peer *_Atomic inbox_next;
	_Atomic uint32_t requests; /* enum peer_request; not zero: it is in the inbox */

	uint8_t timestamp[TIMESTAMP_SIZE]; /* the latest in an initiation of theirs */
	uint16_t persistent_s;
	bool leaving; /* removed, but workers may still hold it */
	bool removed; /* none does: to be released when it leaves the inbox */
	uint64_t initiation_ms; /* when that was */
	_Atomic uint64_t handshake_ns; /* last completed handshake, ns since 1970; 0: never */
};

/* Peers that workers have asked something for. Any thread puts in, the control thread takes out. */
struct inbox {
	_Alignas(CACHE_LINE) struct peer *_Atomic first;
};

/* Returns true if the inbox was empty: the control thread must be woken (by an eventfd). */
bool peer_request(struct inbox *inbox, struct peer *peer, uint32_t requests);

/* By workers, within their epoch: the key for sending, or NULL: keep the packet where
 * control_ops.ready() finds it, then ask for PEER_HANDSHAKE. */
struct keypair *peer_sending_key(const struct peer *peer, uint64_t now_ms);

/* By workers, within their epoch, once a batch: notes that something was sent to, or authentic was
 * received from the peer, for its timers. data: anything but keepalives. Return PEER_WATCH or 0. */
uint32_t peer_note_sent(const struct peer *peer, bool data, uint64_t now_ms);
uint32_t peer_note_received(const struct peer *peer, bool data, uint64_t now_ms);

/* By the control thread: the peers that were put in, linked by inbox_next, and an empty inbox. */
struct peer *inbox_take(struct inbox *inbox);
