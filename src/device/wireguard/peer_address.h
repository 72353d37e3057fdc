/* Where a peer is: written when it moves, read for every send, by any thread, without a lock (a
 * sequence counter around words that are each read and written whole). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/io/udp_endpoint.h"

enum { WHEREABOUTS_WORDS = (sizeof(struct endpoint) + 7) / 8 };

struct whereabouts {
	_Atomic uint32_t sequence; /* odd: being written */
	_Atomic bool plain; /* the way there refuses super-packets (udp_send()) */
	_Atomic uint64_t words[WHEREABOUTS_WORDS];
};

/* Zeroed, it is nowhere: AF_UNSPEC. */
void whereabouts_get(const struct whereabouts *where, struct endpoint *endpoint);

/* If somebody else writes at the same time, one of the two is kept. */
void whereabouts_set(struct whereabouts *where, const struct endpoint *endpoint);

/* Whether it is at this very endpoint, local address included. */
bool whereabouts_is(const struct whereabouts *where, const struct endpoint *endpoint);
