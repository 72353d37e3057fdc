/*
 * The two keys of one session (paper, 5.4.5), and which of a peer's sessions is for sending
 * (6.3: previous, current, next). Workers read, open and seal; the control thread makes, rotates
 * and retires. A keypair that a worker has loaded stays valid until its next quiescent state.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/hash.h"
#include "device/crypto/aead.h"
#include "device/wireguard/index.h"
#include "device/wireguard/messages.h"
#include "device/wireguard/replay.h"

struct wg_peer;

struct keypair {
	struct index_entry entry; /* our index; kind INDEX_KEYPAIR. First: see keypair_of() */
	uint32_t remote_index; /* theirs, for message_transport.receiver */
	bool initiator; /* of the handshake that made it: us */
	struct wg_peer *peer;
	uint64_t made_ms;
	struct aead_key send, receive;
	struct epoch_node retired;

	/* Asked for a new handshake on account of this keypair: once is enough. */
	_Atomic bool rekey_asked;
	/* The other side has been heard on it, so it holds the key too. True from the start for the
	 * initiator. */
	_Atomic bool confirmed;

	_Alignas(CACHE_LINE) _Atomic uint64_t send_counter;
	_Alignas(CACHE_LINE) struct replay replay;
};

static inline struct keypair *keypair_of(struct index_entry *entry)
{
	return entry && entry->kind == INDEX_KEYPAIR ? (struct keypair *)(void *)entry : NULL;
}

/* A batch may have read its clock just before the keypair was made. */
static inline uint64_t keypair_age(const struct keypair *keypair, uint64_t now_ms)
{
	return now_ms > keypair->made_ms ? now_ms - keypair->made_ms : 0;
}

/* Neither too old nor used up (6.2), for sending and for receiving alike. */
static inline bool keypair_alive(const struct keypair *keypair, uint64_t now_ms)
{
	return keypair_age(keypair, now_ms) < REJECT_AFTER_TIME_MS &&
	       atomic_load_explicit(&keypair->send_counter, memory_order_relaxed) <
		       REJECT_AFTER_MESSAGES;
}

/* n successive counters for sending. False if the key has not that many left. */
bool keypair_reserve(struct keypair *keypair, uint64_t n, uint64_t *first);

/*
 * Whether a new handshake must be asked for after sending, or after receiving, with this key: 6.2.
 * True once in a keypair's life, for one worker.
 */
bool keypair_rekey_after_send(struct keypair *keypair, uint64_t now_ms);
bool keypair_rekey_after_receive(struct keypair *keypair, uint64_t now_ms);

/* After an authentic packet: true for the first one on a key that we made as the responder. The
 * control thread must then rotate: PEER_CONFIRM. */
static inline bool keypair_confirm(struct keypair *keypair)
{
	return !atomic_load_explicit(&keypair->confirmed, memory_order_relaxed) &&
	       !atomic_exchange_explicit(&keypair->confirmed, true, memory_order_acq_rel);
}

struct keypairs {
	_Atomic(struct keypair *) current; /* for sending; NULL: none yet */
	struct keypair *previous; /* for receiving what is still on its way */
	/* Made as the responder: for receiving only, until it is confirmed. Then it is for sending
	 * already, and to become current. */
	_Atomic(struct keypair *) next;
};

/*
 * The one to send with, NULL: none yet; for any thread. What was received with a key that it has
 * confirmed is answered with that key, and not with the old one until the control thread's turn:
 * the other side may have begun anew, and have no other.
 */
struct keypair *keypairs_for_sending(const struct keypairs *keypairs);

/* By the control thread only, all of the following. The keypairs that fall out are removed from the
 * table and retired, and wiped when they are freed. */
struct keypair *keypair_new(void); /* zeroed; NULL: no memory */
/* One that never got into a table. */
void keypair_free(struct keypair *keypair);
/* A new session. Made as the initiator it is for sending at once, else it becomes next. */
void keypairs_install(struct keypairs *keypairs, struct index_table *table, struct keypair *fresh);
/* The other side has used next: it becomes current. False if there is no confirmed next. */
bool keypairs_rotate(struct keypairs *keypairs, struct index_table *table);
void keypairs_clear(struct keypairs *keypairs, struct index_table *table);
