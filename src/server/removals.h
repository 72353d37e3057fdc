/*
 * The peers of an endpoint that are to be removed: idle ones, and those that asked for it. The
 * kernel removes many at once hardly slower than one, but a new tunnel has to wait meanwhile; so
 * they are removed in batches of limited size, and other requests are served between the batches.
 */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"
#include "ipc/report.h"

struct endpoint;
struct event_base;
struct peer;
struct reply_to;

struct removals;

/* Why a peer goes: as the log has it, and as it is counted. */
struct removal_reason {
	const char *text;
	enum report_count count;
};

extern const struct removal_reason removal_asked, removal_idle, removal_vanished;
extern const struct removal_reason removal_token_gone, removal_token_expired;
extern const struct removal_reason removal_ordered; /* by the operator */
extern const struct removal_reason removal_unmade; /* of one that is_unmade */

/* Returns 0 or -ENOMEM. */
int removals_init(struct removals *removals, struct endpoint *endpoint, struct event_base *base);
/* Forgets the queue; the peers stay, nobody is answered. */
void removals_free(struct removals *removals);

/*
 * Queues a peer, once. The reason is one of those above. reply_to is answered when it
 * is gone, or could not be removed; NULL: nobody waits. Returns 0, or -ENOMEM,
 * and then reply_to is not answered, and whether the peer is queued is not known: whoever looks at
 * all of them, now and then, finds it again.
 */
int removals_add(struct removals *removals, struct peer *peer, const struct removal_reason *reason,
	const struct reply_to *reply_to);

/* The peer is wanted again: takes it out of the queue. Who waited for its removal is told that it
 * went, as it is to come back. */
void removals_cancel(struct removals *removals, struct peer *peer);

/* Gives an address that nobody has any more back to the pool, and to the purge of its connections.
 */
void removals_release(struct endpoint *endpoint, struct ipv4 inner);
/* Forgets a peer that certainly has nothing in the data plane: its address is promised to nobody
 * any more, and released; the reason is for the log, a literal. Frees it; it must not be queued. */
void removals_forget(struct endpoint *endpoint, struct peer *peer, const char *reason);

/* Removes one batch. A peer that could not be removed leaves the queue and stays. Returns whether
 * more are queued. */
bool removals_flush(struct removals *removals);
