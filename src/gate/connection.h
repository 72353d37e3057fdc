/*
 * The life of one connection: silent, TLS handshake, request, (the broker), answer, and a moment in
 * which the client may close first. Every phase ends at a moment that is fixed when it begins,
 * however the bytes drip in.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "gate/client_address.h"

enum {
	CONNECTION_REQUEST_MS = 10000, /* from accept to the end of the request, and to that of the
					  answer where the broker is not asked */
	CONNECTION_HANDSHAKE_MS = 5000, /* from the client's first byte */
	CONNECTION_ANSWER_MS = 10000, /* from asking the broker to the end of the answer */
	CONNECTION_LINGER_MS = 1000, /* for the client to close first */
};

enum connection_phase {
	PHASE_SILENT, /* no byte has come: there is no TLS state yet */
	PHASE_HANDSHAKE,
	PHASE_READING,
	PHASE_CONTINUING, /* 100 Continue is being sent */
	PHASE_ASKING, /* the broker has the request */
	PHASE_ANSWERING,
	PHASE_LINGERING, /* all is said, the TLS state is gone */
};

/* What a phase wants: to wait for something, or that the next phase, which it has set, goes on. */
enum step {
	STEP_ON,
	STEP_READ, /* until there is something to read */
	STEP_WRITE, /* until something can be written */
	STEP_WAIT, /* for the broker */
	STEP_CLOSE,
};

struct connections;
struct exchange;
struct source;

struct connection {
	struct connections *set;
	TAILQ_ENTRY(connection) list; /* the set's */
	struct source *source; /* the set's */
	struct exchange *exchange; /* NULL when silent or lingering */
	struct event io, deadline;
	uint64_t accepted_ms;
	int fd;
	short watched; /* EV_READ, EV_WRITE or 0: what io waits for */
	enum connection_phase phase;
	struct client client;
};

/* Takes the socket over. Returns NULL, and then has not, if there is no memory. */
struct connection *connection_new(
	struct connections *set, int fd, const struct client *client, struct source *source);

/* Closes it at once, in whatever phase it is, takes it out of the set and frees it. */
void connection_close(struct connection *connection);

/* Whether nothing of a request has come, and nothing is on its way. */
bool connection_is_idle(const struct connection *connection);

/* For the exchange: to go on after the broker's answer, and what ends the phase it begins. */
void connection_advance(struct connection *connection);
void connection_set_deadline(struct connection *connection, uint64_t at_ms);

/* The phase, for the log. */
const char *connection_doing(const struct connection *connection);
