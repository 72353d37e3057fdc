/*
 * When something must be sent, given up or forgotten without anything having arrived (paper, 6). No
 * peer ticks: each peer in use has its earliest deadline in one heap, an idle one is not in it.
 *
 * Workers record what they sent and received in a few atomics, and write only when something
 * changes. The control thread reads those at least every KEEPALIVE_TIMEOUT while anything is
 * recorded, so that no deadline is missed. When it has found nothing it stops reading, and the next
 * worker that records something must call it (timers_record_* returns true).
 *
 * The order of the control thread's calls, for each handshake: timers_begin_handshake(), and for
 * every initiation timers_initiation_sent(); then timers_session_made(), and when the other side
 * has been heard on the new keys timers_session_confirmed(). Or timers_end_handshake(), or
 * timers_due() gives up. After each the deadline is asked for anew: session_settle().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/wireguard/deadlines.h"
#include "device/wireguard/messages.h"

enum {
	TIMERS_ZERO_MS = 3 * REJECT_AFTER_TIME_MS, /* without a new session: forget all keys */
};

struct timers {
	/* The workers'. ms, 0: none. */
	_Atomic uint64_t unanswered_since; /* data sent, nothing authentic received since */
	_Atomic uint64_t owed_since; /* data received, nothing sent since */
	_Atomic uint64_t traversed; /* anything authentic sent or received, to within 100 ms */
	_Atomic uint64_t wanted; /* data was to be sent and there was no key, to within 100 ms */
	_Atomic bool watched; /* the control thread will read by itself */

	/* The control thread's. ms. */
	struct deadline deadline;
	uint64_t handshake_began; /* of the handshake that is under way */
	uint64_t initiation_sent; /* last; 0: never */
	uint64_t retransmit_at; /* 0: no handshake under way */
	uint64_t zero_at; /* 0: no keys */
	uint16_t jitter_ms; /* for the next new handshake */
	uint16_t persistent_s; /* persistent keepalive; 0: off */
};

/* What is to be done; several at once. */
enum timers_action {
	TIMERS_GIVE_UP = 1, /* no answer for REKEY_ATTEMPT_TIME: drop what waits for a key */
	TIMERS_ZERO = 2, /* forget all keys */
	TIMERS_HANDSHAKE = 4, /* send an initiation */
	TIMERS_KEEPALIVE = 8, /* send a keepalive; without a key, a handshake */
	TIMERS_FORGET_SOURCE = 16, /* the address that we send from may be why nothing comes */
};

/* By workers, once a batch and peer. data: anything but a keepalive. now is the batch's clock.
 * Return true if the control thread must be told: PEER_WATCH. */
bool timers_record_sent(struct timers *timers, bool data, uint64_t now_ms);
bool timers_record_received(struct timers *timers, bool data, uint64_t now_ms);
/* Data waits for a key: the handshake for one goes on (6.4). */
void timers_record_wanted(struct timers *timers, uint64_t now_ms);

/* All of the following by the control thread, on zeroed timers to begin with. */

/* A handshake is to begin, if none is under way. True if the initiation may be sent now; else it is
 * due later: never two within REKEY_TIMEOUT (6.1). */
bool timers_begin_handshake(struct timers *timers, uint64_t now_ms);
/* jitter_ms: 0 to REKEY_TIMEOUT_JITTER_MS, random. */
void timers_initiation_sent(struct timers *timers, uint64_t now_ms, uint16_t jitter_ms);
/* It cannot be sent, and trying again is of no use. */
void timers_end_handshake(struct timers *timers);
/* New keys, of either role: until when they may be kept. */
void timers_session_made(struct timers *timers, uint64_t now_ms);
/* The other side has them too: the response came, or the first data. Ends the pending. */
void timers_session_confirmed(struct timers *timers);

/* What is due now, and records that it will be done. */
unsigned int timers_due(struct timers *timers, uint64_t now_ms);
/* The next moment to call timers_due(); DEADLINE_NEVER: not before something happens. */
uint64_t timers_deadline(struct timers *timers, uint64_t now_ms);
