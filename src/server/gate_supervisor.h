/* Starts the gates, replaces those that die, and carries what they ask to the endpoints and the
 * answers back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/gate_config.h"
#include "ipc/message.h"
#include "server/endpoint.h"

struct event_base;
struct gatekeeper;

/* Must lead to one call of gatekeeper_answer() with the same reply_to. */
typedef void gatekeeper_request_fn(
	void *context, const struct ipc_request *request, const struct reply_to *reply_to);
/* All gates have told for the first time that they serve; all have ended after gatekeeper_drain().
 */
typedef void gatekeeper_event_fn(void *context);

struct gatekeeper_config {
	unsigned int n_gates;
	/* What every gate is told; gate_number is filled in here. Must stay until the gatekeeper is
	 * freed. */
	struct gate_settings *settings;
	const int *listeners; /* settings->config.n_endpoints of them; the caller's */
	gatekeeper_request_fn *on_request;
	gatekeeper_event_fn *on_ready;
	gatekeeper_event_fn *on_drained;
	void *context;
};

/* Starts the gates. Returns 0 or -errno, and logs why. */
int gatekeeper_new(struct event_base *base, const struct gatekeeper_config *config,
	struct gatekeeper **gatekeeper);

/* Answers a request. If the gate that sent it is gone, so is the answer. */
void gatekeeper_answer(struct gatekeeper *gatekeeper, const struct reply_to *reply_to,
	enum ipc_status status, struct ipv4 address);

/* A gate as it is now. */
struct gatekeeper_gate {
	pid_t pid; /* 0: it has ended, and is not replaced yet */
	bool is_ready;
	uint64_t n_restarts;
	uint64_t started_ms; /* by the system's clock */
};
struct gatekeeper_gate gatekeeper_gate(const struct gatekeeper *gatekeeper, unsigned int number);

/* Tells the gates to finish what they have and go; none is replaced any more. */
void gatekeeper_drain(struct gatekeeper *gatekeeper);

/* Ends gates that are still there, waits for them and frees. */
void gatekeeper_free(struct gatekeeper *gatekeeper);
