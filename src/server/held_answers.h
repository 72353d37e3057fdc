/*
 * Answers to requests that are held back until what they promise is on the disk; but for no longer
 * than --store-wait, since a store that is slow or broken must keep no client from its tunnel.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "server/endpoint.h"

struct event_base;
struct held_answers;

struct held_answers_config {
	uint64_t wait_ms;
	endpoint_answer_fn *answer; /* who gives the answers */
	void *context;
	const struct clock *clock;
};

/* base may be NULL in a test, which then calls held_answers_expire(). Returns 0 or -ENOMEM. */
int held_answers_new(struct event_base *base, const struct held_answers_config *config,
	struct held_answers **held);
/* Nobody is answered. NULL is fine. */
void held_answers_free(struct held_answers *held);

/* Holds an IPC_OK with this address until held_answers_durable() has come to the sequence number.
 * Answers at once while the store is known to be behind. Sequence numbers do not fall. */
void held_answers_add(struct held_answers *held, const struct reply_to *to, struct ipv4 address,
	uint64_t sequence);

/* All up to this sequence number is on the disk. */
void held_answers_durable(struct held_answers *held, uint64_t sequence);

/* All that was ordered is lost, and was ordered again, up to this sequence number: which of the new
 * orders an answer waits for is not known, so it waits for all. UINT64_MAX: that is not known yet;
 * all wait until this is called again. */
void held_answers_lost(struct held_answers *held, uint64_t sequence);

/* Answers those that have waited for long enough. Logs it once, until the store has caught up. */
void held_answers_expire(struct held_answers *held);

size_t held_answers_count(const struct held_answers *held);
