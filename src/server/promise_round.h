/*
 * Tells the store once more all that is promised, as when it has lost what it had: what is about an
 * endpoint at once, and its peers some at a time, since 50,000 of them take a while. Who comes
 * meanwhile is told of as ever.
 */
#pragma once

#include "server/all_peers.h"

/* The caller's; promise_round.c's inside. */
struct promise_round {
	struct all_peers peers;
	peer_walk_done_fn *done;
	void *context;
};

/* The endpoints are the caller's. done: all is ordered. Returns 0 or -ENOMEM. */
int promise_round_init(struct promise_round *round, struct event_base *base,
	const struct endpoint_list *endpoints, peer_walk_done_fn *done, void *context);
/* Zeroed is fine. */
void promise_round_free(struct promise_round *round);

/* One that is under way begins anew. Where there is no memory for it, it is over when this
 * returns. done is called later, or then before this returns. */
void promise_round_begin(struct promise_round *round);
/* One that is under way is over when this returns; done is not called. */
void promise_round_finish(struct promise_round *round);
