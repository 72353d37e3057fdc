/* The outer address of a peer: written when it moves, read for every send, by any thread, without a
 * lock (a sequence counter around words that are each read and written whole). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/io/udp_endpoint.h"

enum { PEER_ADDRESS_WORDS = (sizeof(struct udp_endpoint) + 7) / 8 };

struct peer_address {
	_Atomic uint32_t sequence; /* odd: being written */
	_Atomic bool plain; /* the path there refuses super-packets (udp_send()) */
	_Atomic uint64_t words[PEER_ADDRESS_WORDS];
};

/* Zeroed: not known, AF_UNSPEC. */
void peer_address_get(const struct peer_address *address, struct udp_endpoint *endpoint);

/* If somebody else writes at the same time, one of the two is kept. */
void peer_address_set(struct peer_address *address, const struct udp_endpoint *endpoint);

/* Sets it unless it is this very endpoint already, local address included. */
void peer_address_update(struct peer_address *address, const struct udp_endpoint *endpoint);
