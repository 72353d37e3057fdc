/*
 * Requests that find no address but such as are being freed (flow_purge.h): each waits for one, up
 * to PENDING_CONNECT_MS, rather than be refused at once. First come, first served. No more than
 * IPC_OUTSTANDING_MAX of each gate can.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "server/endpoint.h"

struct event_base;

enum {
	/* Well under CONNECTION_ANSWER_MS, after which a gate gives up. */
	PENDING_CONNECT_MS = 2000,
};

struct pending_connect {
	struct client_request request;
	struct reply_to reply_to;
	uint64_t deadline_ms; /* by the endpoint's clock */
	TAILQ_ENTRY(pending_connect) entry;
};

/* base may be NULL in a test, and then nothing expires by itself. Returns 0 or -ENOMEM. */
int pending_connects_init(
	struct pending_connects *pending, struct endpoint *endpoint, struct event_base *base);
/* Nobody is answered. */
void pending_connects_free(struct pending_connects *pending);

/* The request waits. Returns 0 or -ENOMEM. */
int pending_connects_add(struct pending_connects *pending, const struct client_request *request,
	const struct reply_to *reply_to);

/* The one that came first; NULL if there is none. */
struct pending_connect *pending_connects_first(const struct pending_connects *pending);
/* Takes it out and frees it; does not answer it. */
void pending_connects_remove(struct pending_connects *pending, struct pending_connect *connect);

/* Refuses those whose time is up. The timer does this. */
void pending_connects_expire(struct pending_connects *pending);

/* Refuses them all. */
void pending_connects_refuse(struct pending_connects *pending, enum ipc_status status);

/* The peer of this /disconnect does not want its tunnel any more: its requests are refused. */
void pending_connects_cancel(
	struct pending_connects *pending, const struct client_request *disconnect);

/* A gate has ended: nobody is there for the answers to its requests. */
void pending_connects_forget_gate(
	struct pending_connects *pending, unsigned int gate, uint64_t generation);
