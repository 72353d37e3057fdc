/*
 * The connections of a gate: what one of them is made of, what all of them share, in which list
 * each of them is, and how many they are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/types.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "gate/broker_link.h"
#include "gate/client_address.h"
#include "gate/handshake_queue.h"
#include "gate/signer_link.h"
#include "gate/sources.h"

struct gate_counts;
struct refusal_report;
struct routes;
struct tls_http;

/* In this order; connection.c says what leads from each to the next. */
enum connection_phase {
	PHASE_GREETING, /* the client's first message is not complete: there is no TLS state yet */
	PHASE_WAITING, /* it is, and others have their turn first */
	PHASE_HANDSHAKE,
	PHASE_READING, /* the request, and where the client waits for it, 100 Continue goes out */
	PHASE_HELD, /* as many of its source as may be are at the check of the password */
	PHASE_KEYLESS, /* its token is of a key that is not known, and may be soon */
	PHASE_ASKING, /* the broker has the request */
	PHASE_PAUSING, /* before the answer to a wrong password */
	PHASE_ANSWERING,
	PHASE_LINGERING, /* the answer is sent, the TLS state is gone */
};

struct connection {
	struct connection_set *set;
	TAILQ_ENTRY(connection) list; /* the set's */
	struct source *source; /* the set's */
	struct tls_handshake handshake; /* the set's queue's, while waiting and in it */
	struct tls_http *tls_http; /* NULL before the handshake, and when lingering */
	struct broker_call call; /* the broker link's while asking */
	struct signer_waiter signing; /* the signer link's in the handshake */
	struct event io, deadline;
	uint64_t accepted_ms, deadline_ms;
	uint64_t timer_ms; /* when the timer comes, which is not after the deadline; 0: it is not
			      set */
	int fd;
	short watched; /* EV_READ, EV_WRITE or 0: what io waits for */
	enum connection_phase phase;
	uint64_t keyless_ms; /* since when it is without its token's key, in that phase */
	size_t greeted; /* bytes of the first message that were there at the last look */
	/* check_places.c's: it has one of its source's places at the check of the password, or
	 * waits for one. */
	bool is_checked, is_held;
	TAILQ_ENTRY(connection) held; /* the source's */
	struct client_address client;
};

TAILQ_HEAD(connection_list, connection);

/* The pointers are set by the owner, before connection_set_init(). */
struct connection_set {
	struct event_base *base;
	SSL_CTX *tls;
	const struct routes *routes;
	struct broker_link *broker;
	struct signer_link *signer;
	struct gate_counts *counts; /* NULL: nothing is counted */
	struct refusal_report *refusals; /* NULL: nobody is told of them */
	const struct clock *clock;
	unsigned int max;
	unsigned int max_per_source;
	void (*emptied)(void *context); /* the last connection is gone while draining */
	void *context;

	bool draining; /* no connection will come any more */
	bool refuses; /* requests that come now */
	unsigned int count;
	struct sources sources;
	struct handshake_queue handshakes;
	unsigned int peak; /* of count, since memory was last given back */
	struct event quiet; /* nobody has been there for a while, after some had been */
	/* Each connection is in the list of its phase: no complete request has come, in the order
	 * of arrival; waiting for the broker; answered, in the order of the answers. */
	struct connection_list unanswered, asking, answered;
	struct log_limit crowded, late;
	struct source_log_limit too_many, unauthorized;
};

/* Returns 0 or a negative errno. */
int connection_set_init(struct connection_set *set);
/* Whether a line about a client may be written now, as source_log_limit_allows(). */
bool connection_set_may_log(const struct connection_set *set, struct source_log_limit *limit,
	const struct client_address *client, struct log_limit_text *more);

/* There must be no connections left. */
void connection_set_free(struct connection_set *set);

/* Puts a new connection into the list of its phase, and counts it. */
void connection_set_add(struct connection_set *set, struct connection *connection);

/* Sets the connection's phase, and moves it to that phase's list. */
void connection_set_enter(struct connection *connection, enum connection_phase phase);

/* Takes a connection out that is about to be freed, and gives its place back to its source. May
 * call emptied(). */
void connection_set_remove(struct connection *connection);
