/*
 * What an endpoint has promised to its clients, told to the store: which peer has which inner
 * address. The data plane is the truth of what is there; the store is the truth of what is
 * promised, also when this host fails. Where there is no store (--store=none) these do nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct peer;

/* The endpoint itself: its index, block, port and key. */
void promise_endpoint(const struct endpoint *endpoint);

/* The peer, as it is. From now on it is kept in the peer whether that is on the disk. */
void promise_peer(const struct endpoint *endpoint, struct peer *peer);

/* The peer has moved, or was active: written where it moved, else now and then. */
void promise_peer_again(const struct endpoint *endpoint, struct peer *peer, uint64_t now_ms);

/* The peer is to have its address no longer. */
void promise_no_more(const struct endpoint *endpoint, const struct peer *peer);

/* Nobody is to have an address of this endpoint. */
void promise_nobody(const struct endpoint *endpoint);
