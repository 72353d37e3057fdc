/*
 * Which TLS handshakes begin, and when: those whose client has said all that it has to say before
 * we answer wait here, and the sources take turns. A handshake is what costs a gate time (a
 * signature) and memory, so only so many run at once; one that waits for its client gives way to
 * others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "gate/fair_queue.h"

struct event;
struct event_base;

enum {
	/* At once, whatever the limit of connections is. */
	HANDSHAKES_AT_LEAST = 64,
	/* Else one of so many connections. */
	HANDSHAKES_SHARE = 8,
	/* For a client to go on, before it has to make room for one that waits. */
	HANDSHAKE_GRACE_MS = 1000,
};

/* Of one connection. */
struct tls_handshake {
	/* Its turn has come: it runs now. */
	void (*begin)(struct tls_handshake *handshake);
	/* It must end at once, with handshake_queue_end(). Returns false if it does not, since it
	 * is not its client that it waits for. */
	bool (*give_way)(struct tls_handshake *handshake);

	/* The queue's own. */
	struct fair_item waiting;
	TAILQ_ENTRY(tls_handshake) entry;
	bool is_running;
	uint64_t began_ms;
};

struct handshake_queue {
	struct fair_queue waiting;
	TAILQ_HEAD(, tls_handshake) running; /* the oldest first */
	unsigned int n_running, max_running;
	struct event *turn;
	const struct clock *clock;
};

/* Of a gate with so many connections at the most. Returns 0 or -ENOMEM. */
int handshake_queue_init(struct handshake_queue *queue, struct event_base *base,
	const struct clock *clock, unsigned int max_connections);
/* Nobody may be in it any more. */
void handshake_queue_free(struct handshake_queue *queue);

/* Waits for its turn, in the lane of its source. */
void handshake_queue_add(
	struct handshake_queue *queue, struct fair_lane *lane, struct tls_handshake *handshake);

/* It is done, or its connection has ended: takes it out, if it is in. */
void handshake_queue_end(struct handshake_queue *queue, struct tls_handshake *handshake);
