/*
 * What an endpoint has promised to its clients, told to the store: which peer has which inner
 * address. The data plane is the truth of what is there; the store is the truth of what is
 * promised, also when this host fails. Where there is no store (--store=none) these do nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"

struct endpoint;
struct peer;
struct reply_to;
struct stored_peer;

/* The endpoint itself: its index, block, port and key, and what is reserved of timestamps. */
void promise_endpoint(const struct endpoint *endpoint);

/* The peer, as it is. From now on it is kept in the peer whether that is on the disk. */
void promise_peer(const struct endpoint *endpoint, struct peer *peer);

/* The peer has what was stored of it: as long as nothing changes, nothing is written. */
void promise_is_kept(
	const struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored);

/* Likewise, and the peer was made out of that: where it was last is where it is sought,
 * and has asked from. */
void promise_is_known(
	struct endpoint *endpoint, struct peer *peer, const struct stored_peer *stored);

/* The peer has moved, or was active: written where it moved, else now and then. */
void promise_peer_again(const struct endpoint *endpoint, struct peer *peer, uint64_t now_ms);

/* The peer is to have its address no longer. Returns the store's sequence number of that; 0: there
 * is no store. */
uint64_t promise_no_more(const struct endpoint *endpoint, const struct peer *peer);

/*
 * Answers a request with IPC_OK and this address when what was ordered by then, up to this sequence
 * number, is stored: what a client has been told must hold whoever dies. At once if the number is
 * 0.
 */
void promise_answer(const struct endpoint *endpoint, const struct reply_to *to, struct ipv4 address,
	uint64_t sequence);

/* Nobody is to have an address of this endpoint. */
void promise_nobody(const struct endpoint *endpoint);
