/* How many of an endpoint's peers each source address has asked for. */
#pragma once

#include <stdint.h>

#include "base/hash.h"
#include "base/ipv4.h"

/* Only of addresses that have a peer: so it is no larger than the table of peers. */
struct peer_sources {
	struct hash_table table;
};

/* Returns 0 or what hash_init() returns. */
int peer_sources_init(struct peer_sources *sources);
void peer_sources_free(struct peer_sources *sources);

/* Counts one peer more of a source. Returns 0 or -ENOMEM. */
int peer_sources_add(struct peer_sources *sources, struct ipv4 source);
/* Counts one less: it was added. */
void peer_sources_remove(struct peer_sources *sources, struct ipv4 source);

uint32_t peer_sources_count(const struct peer_sources *sources, struct ipv4 source);
