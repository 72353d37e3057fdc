/* What the store said at the server's start: all that was promised before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ipc/storing.h"
#include "plane/plane.h"

struct pool;

struct promised {
	struct stored_endpoint *endpoints;
	struct stored_peer *peers; /* by endpoint */
	struct stored_peer *freed; /* bind and inner; by endpoint, the one freed longest ago first
				    */
	size_t n_endpoints, n_peers, n_freed;
	uint64_t n_told; /* freed addresses that have come, in their order */
	bool is_of_fleet; /* endpoints of other hosts are among them */
};

/* Adds a record of the store's, as it comes; others are passed over. One of an endpoint takes the
 * place of the one before. Returns 0 or -ENOMEM. */
int promised_add(struct promised *promised, const struct storing_message *record);
/* When all have come, and before any of these is called. */
void promised_sort(struct promised *promised);

/* NULL if there is none. */
const struct stored_endpoint *promised_endpoint(const struct promised *promised, struct ipv4 bind);
/* What was reserved of timestamps with this key, at whichever endpoint: a client knows the key. 0:
 * nothing. */
uint64_t promised_floor_s(const struct promised *promised, const struct key *private_key);
/* The peers or the freed addresses of one endpoint, *n of them. */
const struct stored_peer *promised_peers(
	const struct promised *promised, struct ipv4 bind, size_t *n);
const struct stored_peer *promised_freed(
	const struct promised *promised, struct ipv4 bind, size_t *n);

/* Puts its addresses freed lately behind those that were never used. */
void promised_order_freed(const struct promised *promised, struct ipv4 bind, struct pool *pool);

/* Who it is, to a data plane. */
struct plane_peer promised_identity(const struct stored_peer *stored);

/* Takes the peers and freed addresses of one endpoint out of it; *taken is to be freed. Returns 0
 * or -ENOMEM: then some may be lost. */
int promised_take(struct promised *promised, struct ipv4 bind, struct promised *taken);
/* Forgets the peers and freed addresses of one endpoint. */
void promised_forget(struct promised *promised, struct ipv4 bind);

/* Wipes and frees all of it, and leaves it empty. */
void promised_free(struct promised *promised);
