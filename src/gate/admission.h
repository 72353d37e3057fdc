/*
 * All connections of a gate: who is let in, who has to go when it gets crowded, and how the gate
 * empties when it is to finish.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "gate/broker_link.h"
#include "gate/connection.h"
#include "gate/log_limit.h"
#include "gate/routes.h"
#include "gate/sources.h"

TAILQ_HEAD(connection_list, connection);

/* What all connections share. The pointers are set by the owner, before connections_init(). */
struct connections {
	struct event_base *base;
	SSL_CTX *tls;
	const struct routes *routes;
	struct broker_link *broker;
	const struct clock *clock;
	unsigned int max;
	unsigned int max_per_source;
	void (*emptied)(void *context); /* the last connection is gone while draining */
	void *context;

	bool draining;
	unsigned int count;
	struct sources sources;
	unsigned int peak; /* of count, since memory was last given back */
	/* Each connection is in the list of its phase: not asked for anything yet, in the order in
	 * which they came; waiting for the broker; answered, in the order of the answers. */
	struct connection_list unanswered, asking, answered;
	struct log_limit crowded, too_many, unauthorized, late;
};

/* Returns 0 or a negative errno. */
int connections_init(struct connections *set);
/* Closes all connections. */
void connections_free(struct connections *set);

/* Takes over a connection that was just accepted: non-blocking, nothing read from it yet. One too
 * many of its source is closed at once; one too many in all takes the place of the oldest. */
void connections_admit(struct connections *set, int fd, const struct client *client);

/* Closes a connection to make room: the one answered first, for it has what it came for, else the
 * oldest that does not wait for the broker. False if there is none. */
bool connections_evict(struct connections *set);

/* Called by a connection that enters a phase, and by one that is being closed. */
void connections_enter(struct connection *connection, enum connection_phase phase);
void connections_remove(struct connection *connection);

/* Closes the idle ones, and calls emptied() as soon as there are none, which may be now. */
void connections_drain(struct connections *set);
