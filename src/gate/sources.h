/* What the connections of one source address share. */
#pragma once

#include <netinet/in.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "gate/fair_queue.h"
#include "ipc/source_counts.h"

struct connection;

/* Of an address with at least one connection. */
struct source {
	unsigned int connections;
	struct fair_lane handshakes, calls; /* that wait for their turn */
	/* check_places.c's: places taken, and who waits for one. */
	unsigned int n_checks;
	TAILQ_HEAD(, connection) held;

	/* The table's own. */
	struct hash_node node;
	struct in6_addr address;
};

struct sources {
	struct source_counts
		counts; /* the owner's: set before or after sources_init(); zero for none */
	struct hash_table table; /* struct source, by address; only those with a connection */
};

/* Returns 0 or a negative errno of hash_init(). */
int sources_init(struct sources *sources);
void sources_free(struct sources *sources);

/*
 * Counts one more connection of an address. NULL if it has max of them already, over all gates, or
 * seven eighths of that at this one while there are others; or there is no memory. What is returned
 * goes back with sources_release().
 */
struct source *sources_acquire(
	struct sources *sources, const struct in6_addr *address, unsigned int max);
void sources_release(struct sources *sources, struct source *source);
