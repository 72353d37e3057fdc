/*
 * A walk over the peers of all endpoints, one endpoint after the other, each as peer_walk.h has it:
 * some at a time. Who is there from its begin to its end is visited once; who comes or goes
 * meanwhile perhaps not, and of an endpoint that opens meanwhile nobody is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/endpoint.h"

struct event_base;

typedef void all_peers_visit_fn(void *context, struct endpoint *endpoint, struct peer *peer);

/* The caller's; all_peers.c's inside. */
struct all_peers {
	const struct endpoint_list *endpoints;
	all_peers_visit_fn *visit;
	peer_walk_done_fn *done;
	void *context;
	struct peer_walk walk; /* of one of them */
	struct event *timer; /* of the next one */
	struct ipv4
		*binds; /* theirs: any of them may be gone by its turn; NULL: none is under way */
	size_t n, next;
};

/* The endpoints are the caller's. done is not called by all_peers_begin(), and may begin the next
 * walk. Returns 0 or -ENOMEM. */
int all_peers_init(struct all_peers *all, struct event_base *base,
	const struct endpoint_list *endpoints, all_peers_visit_fn *visit, peer_walk_done_fn *done,
	void *context);
/* Zeroed is fine. */
void all_peers_free(struct all_peers *all);

/* One that is under way ends, and begins anew. Returns 0 or -ENOMEM: then none is under way. */
int all_peers_begin(struct all_peers *all);
/* One that is under way ends, and nobody is told. */
void all_peers_cancel(struct all_peers *all);
bool all_peers_runs(const struct all_peers *all);
