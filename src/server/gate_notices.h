/*
 * What the gates that run are told of endpoints that come and go, and of other settings. A gate
 * that is busy has little room in its socket, and the answers to its requests come first: what
 * finds no room waits here, for each gate in its order.
 */
#pragma once

#include "base/ipv4.h"
#include "ipc/gate_endpoint.h"
#include "ipc/live_settings.h"

struct event_base;
struct gate_notices;
struct ipc_reply;

/* Sends one to a gate, with a descriptor or -1. Returns 0; -EAGAIN if there is no room now; any
 * other error if it need not be sent. */
typedef int gate_notices_send_fn(
	void *context, unsigned int gate, const struct ipc_reply *notice, int descriptor);

/* Returns 0 or -ENOMEM. */
int gate_notices_new(struct event_base *base, unsigned int n_gates, gate_notices_send_fn *send,
	void *context, struct gate_notices **notices);
void gate_notices_free(struct gate_notices *notices);

/* Tells each gate of an endpoint and its listening socket, which is the caller's: it must stay open
 * until gate_notices_gone(). Returns 0 or -ENOMEM: not all of them will know. */
int gate_notices_endpoint(
	struct gate_notices *notices, const struct gate_endpoint *endpoint, int listener);
/* Likewise of one that is not to be served any more. */
int gate_notices_gone(struct gate_notices *notices, struct ipv4 bind);

/* Tells each gate of other settings, in place of those that it has not been told of yet. Returns as
 * those. */
int gate_notices_live(struct gate_notices *notices, const struct live_settings *live);

/* Likewise of the tokens, in a file that is the caller's as a listening socket is: until the next
 * call. */
int gate_notices_tokens(struct gate_notices *notices, int fd);

/* A gate has ended, or begins anew: what waits for it is none of its business. */
void gate_notices_forget(struct gate_notices *notices, unsigned int gate);
