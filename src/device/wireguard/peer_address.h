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
	/* Packets to be sent one by one, as the path there refuses super-packets; 0: it does not.
	 */
	_Atomic uint32_t plain_left;
	_Atomic uint64_t judgement; /* on the source of one version: see peer_address.c */
	_Atomic uint64_t words[PEER_ADDRESS_WORDS];
};

/* Zeroed: not known, AF_UNSPEC. Returns a version: another one once it has been set. */
uint32_t peer_address_get(const struct peer_address *address, struct udp_endpoint *endpoint);

/* By the configuration: holds against what others write at the same time. */
void peer_address_set(struct peer_address *address, const struct udp_endpoint *endpoint);

/* By what was received: where the peer is now, local address included. If somebody else writes at
 * the same time, it is dropped: the next packet says it again. */
void peer_address_update(struct peer_address *address, const struct udp_endpoint *endpoint);

/*
 * Whether packets may be sent from the address in an endpoint that they came to. It depends on the
 * routes: it is judged anew for each version, and for each generation of the routes.
 */
enum source_judgement {
	SOURCE_NOT_JUDGED,
	SOURCE_KEPT,
	SOURCE_REFUSED,
};
enum source_judgement peer_address_judgement(
	const struct peer_address *address, uint32_t version, uint32_t generation);
void peer_address_judge(
	struct peer_address *address, uint32_t version, uint32_t generation, bool keep);

/* The address that packets came to is forgotten, until some come again. */
void peer_address_forget_source(struct peer_address *address);
