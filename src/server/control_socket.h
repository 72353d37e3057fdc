/*
 * The socket on which a running server reports its state: ipc/report.h. For root only, by its mode,
 * its folder's, and the user id of whoever is on the other end. Whoever asks cannot hold up the
 * server: one question and its answer a connection, few connections, each with a deadline, nothing
 * blocks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/disconnecting.h"
#include "ipc/report.h"

struct control_socket;
struct evbuffer;
struct event_base;
struct peer_listing;

/* Appends the answer, as far as was asked for. A negative result ends the connection without one.
 * *peers, NULL before, becomes the peers that are to follow; whoever asks then has them a piece at
 * a time, as fast as he reads. */
typedef int control_socket_answer_fn(void *context, enum report_extent extent, struct evbuffer *out,
	struct peer_listing **peers);

/* An order to end tunnels. The answer goes to control_socket_tell(), with this number: while it is
 * done, at least every few seconds, and at last that it is. Negative: there is none. */
typedef int control_socket_disconnect_fn(
	void *context, const struct disconnect_order *order, uint64_t number);

enum {
	CONTROL_MAX_CONNECTIONS = 8, /* further ones wait until one of these is done, or: */
	CONTROL_STILL_MS = 1000, /* stands still for so long, and makes room for who waits */
	CONTROL_DEADLINE_MS = 10000, /* of a connection, from its beginning to its end */
};

struct control_socket_config {
	const char *path; /* what is there is replaced */
	unsigned int deadline_ms, still_ms;
	control_socket_answer_fn *answer;
	control_socket_disconnect_fn *disconnect; /* NULL: orders have no answer */
	void *context;
};

/* Its folder must be there. Returns 0 or -errno. */
int control_socket_open(struct event_base *base, const struct control_socket_config *config,
	struct control_socket **control);

/* Of an order whose connection has ended meanwhile, nobody is told. control may be NULL. */
void control_socket_tell(
	struct control_socket *control, uint64_t number, const struct disconnect_state *state);

/* Ends all connections and removes the socket's file. NULL is fine. */
void control_socket_close(struct control_socket *control);
