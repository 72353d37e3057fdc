/* The names of an endpoint's peers: each is kept once, however many peers have it. */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "ipc/client_name.h"

struct peer_name {
	struct hash_node node;
	LIST_ENTRY(peer_name) entry; /* of those of tokens */
	struct client_name name;
	uint32_t n_peers;
	uint32_t number; /* in this piece of a report; peer_listing.c's */
	uint64_t piece;
};

/* Only names that a peer has: so it is no larger than the table of peers. */
struct peer_names {
	struct hash_table table;
	LIST_HEAD(, peer_name) of_tokens; /* these can go, and are few */
	uint64_t n_pieces; /* of reports, that were begun; peer_listing.c's */
};

/* Returns 0 or what hash_init() returns. */
int peer_names_init(struct peer_names *names);
void peer_names_free(struct peer_names *names);

/* Counts one peer more of a name. Returns it, or NULL if there is no memory. */
struct peer_name *peer_names_add(struct peer_names *names, const struct client_name *name);
/* Counts one less: it was added. */
void peer_names_remove(struct peer_names *names, struct peer_name *name);

/* How many peers have it. */
uint32_t peer_names_count(const struct peer_names *names, const struct client_name *name);
