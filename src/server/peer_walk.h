/*
 * A walk over all peers of an endpoint, some at a time: with 50,000 of them it takes tens of
 * milliseconds, in which no request would be answered. Who is there from its begin to its end is
 * visited once; who comes or goes meanwhile perhaps not.
 */
#pragma once

#include "server/endpoint.h"

struct event_base;

enum {
	PEER_WALK_SLICE_MS = 2, /* how long requests wait for it, about */
};

/* base: NULL in a test, where a walk is over when peer_walk_begin() returns. Returns 0 or -ENOMEM.
 */
int peer_walk_init(struct peer_walk *walk, struct event_base *base, peer_visit_fn *visit,
	peer_walk_done_fn *done, void *context);
/* One that is under way ends, and nobody is told; likewise here below. */
void peer_walk_cancel(struct peer_walk *walk);
void peer_walk_free(struct peer_walk *walk);

/* None may be under way. */
void peer_walk_begin(struct peer_walk *walk, struct endpoint *endpoint);
bool peer_walk_runs(const struct peer_walk *walk);
/* An endpoint closes: all walks over its peers are over. */
void peer_walk_end_all(struct endpoint *endpoint);
