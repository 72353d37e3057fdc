/*
 * Ending tunnels by order of the operator: those of an address, a key or a name. Each is removed as
 * any other that is to go, so that its address is free, and its connections are deleted, before
 * somebody else has it. Nothing keeps its client from asking again.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "ipc/disconnecting.h"
#include "ipc/message.h"

struct clock;
struct data_plane;
struct disconnection;
struct event_base;

/* How far an order is, and at last that it is done. */
typedef void disconnections_tell_fn(
	void *context, uint64_t number, const struct disconnect_state *state);

struct disconnections {
	struct data_plane *data_plane;
	const struct clock *clock;
	struct event_base *base; /* NULL in a test */
	disconnections_tell_fn *tell;
	void *context;
	LIST_HEAD(, disconnection) orders;
};

/* Begins to do what is ordered, which takes several turns of the event loop; the number is the
 * order's. May tell at once that it is done. Logs.
 * Returns 0, -EPROTO for what is no order, or -ENOMEM. */
int disconnections_begin(struct disconnections *disconnections,
	const struct disconnect_order *order, uint64_t number);

/* The answer to a removal whose reply_to is REPLY_TO_OPERATOR, with this number. */
void disconnections_answer(
	struct disconnections *disconnections, uint64_t number, enum ipc_status status);

/* Nobody is told any more. */
void disconnections_free(struct disconnections *disconnections);
