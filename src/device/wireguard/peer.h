/*
 * A WireGuard peer: what is kept of it always, kept small, and its session, which is there only
 * while it is in use.
 *
 * Workers read keys through the session, record in it what they send and receive, write the peer's
 * address, and ask the control thread for what only it may do, through the inbox. All else is the
 * control thread's.
 *
 * The life of a peer:
 *
 * 1. control_add_peer() makes it known by its public key. Prefixes lead to it from then on.
 * 2. A session begins with the first handshake, and ends (session_end()) when nothing is left in
 *    it: it is retired to the epoch, with its keypairs and its pending handshake.
 * 3. Whoever removes the peer first takes all its prefixes away, so that no worker finds it any
 *    more, and then calls control_remove_peer(). The peer is retired to the epoch.
 * 4. Once no worker can hold it, and it has left the inbox, where a worker may have put it before,
 *    wireguard_ops.release() frees it. Nobody else does.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/hash.h"
#include "base/key.h"
#include "device/wireguard/cookie.h"
#include "device/wireguard/keypair.h"
#include "device/wireguard/noise.h"
#include "device/wireguard/peer_address.h"
#include "device/wireguard/target.h"
#include "device/wireguard/timers.h"

/* What workers ask for. */
enum peer_request {
	PEER_WATCH = 1, /* a timers_record_* function returned true */
	PEER_HANDSHAKE = 2, /* no key is alive, or it is time for a new one */
	PEER_CONFIRM = 4, /* keypair_confirm() returned true */
};

/* A handshake that we have begun. Each has an index of its own, which workers may come upon. */
struct pending_handshake {
	struct index_entry entry; /* kind INDEX_HANDSHAKE */
	struct wg_peer *peer;
	struct handshake handshake;
	bool had_answer; /* one was looked at under load, though it had no cookie */
	struct epoch_node retired;
};

struct session {
	struct keypairs keypairs;
	struct timers timers;
	struct wg_peer *peer;
	struct pending_handshake *pending; /* NULL: none */
	bool had_nowhere; /* the last initiation: it was not known where the peer is */
	struct cookie_jar jar;
	struct epoch_node retired;
};

struct wireguard;
struct staged_queue;

struct wg_peer {
	struct target target; /* first: see wg_peer_of() */
	union {
		struct hash_node node; /* in wireguard.peers, by public key */
		struct epoch_node retired; /* once it is removed */
	};
	struct wireguard *wg;
	struct noise_remote remote; /* its preshared key is owned: see control_set_preshared() */
	_Atomic(struct session *) session; /* NULL while idle */

	struct wg_peer *_Atomic inbox_next;
	_Atomic uint32_t requests; /* enum peer_request; not zero: it is in the inbox */

	uint8_t timestamp[TIMESTAMP_SIZE]; /* the latest in an initiation of theirs */
	uint16_t persistent_s;
	bool leaving; /* removed, but workers may still hold it */
	bool removed; /* none does: to be released when it leaves the inbox */
	uint64_t initiation_ms; /* when that was */
	_Atomic uint64_t handshake_ns; /* last completed handshake, ns since 1970; 0: never */

	/* Read for every send: away from the counters in target, which all workers write. */
	struct peer_address address;
	_Atomic(struct staged_queue *) staged; /* what was to be sent before there was a key */
};

static inline struct wg_peer *wg_peer_of(struct target *target)
{
	return (struct wg_peer *)(void *)target;
}

/* Peers that workers have asked something for. Any thread adds, the control thread removes. */
struct inbox {
	_Alignas(CACHE_LINE) struct wg_peer *_Atomic first;
};

/* Returns true if the inbox was empty: the control thread must be woken (by an eventfd). */
bool wg_peer_request(struct inbox *inbox, struct wg_peer *peer, uint32_t requests);

/* By workers, within their epoch: the key for sending, or NULL: keep the packet where
 * wireguard_ops.ready() finds it, then ask for PEER_HANDSHAKE. */
struct keypair *wg_peer_sending_key(const struct wg_peer *peer, uint64_t now_ms);

/* By workers, within their epoch, once a batch: records that something was sent to, or authentic
 * was received from the peer, for its timers. data: anything but keepalives. Return PEER_WATCH or
 * 0. */
uint32_t wg_peer_record_sent(const struct wg_peer *peer, bool data, uint64_t now_ms);
uint32_t wg_peer_record_received(const struct wg_peer *peer, bool data, uint64_t now_ms);

/* By the control thread: all that are in it, linked by inbox_next. The inbox is then empty. */
struct wg_peer *inbox_remove_all(struct inbox *inbox);
