/* How many connections each source address has. */
#pragma once

#include <netinet/in.h>

#include "base/hash.h"

struct sources {
	struct hash_table table; /* struct source_count, by address; only those with a connection */
};

struct source_count;

/* Returns 0 or a negative errno of hash_init(). */
int sources_init(struct sources *sources);
void sources_free(struct sources *sources);

/*
 * Counts one more connection of an address. NULL if it has max of them already, or there is no
 * memory. What is returned goes back with sources_release().
 */
struct source_count *sources_acquire(
	struct sources *sources, const struct in6_addr *address, unsigned int max);
void sources_release(struct sources *sources, struct source_count *source);
