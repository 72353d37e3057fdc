/* Starts the gates, replaces those that die, and carries what they ask to the endpoints and the
 * answers back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/gate_config.h"
#include "ipc/message.h"
#include "server/endpoint.h"

struct child;
struct event_base;
struct gate_counts;
struct gate_supervisor;

/* Must lead to one call of gate_supervisor_answer() with the same reply_to, unless its gate ends
 * before. */
typedef void gate_supervisor_request_fn(
	void *context, const struct client_request *request, const struct reply_to *reply_to);
/* All gates have told for the first time that they serve; all have ended after
 * gate_supervisor_drain().
 */
typedef void gate_supervisor_event_fn(void *context);

/* A gate has ended: its requests have nobody to answer any more. */
typedef void gate_supervisor_ended_fn(void *context, unsigned int gate, uint64_t generation);

struct gate_supervisor_config {
	unsigned int n_gates;
	/* What every gate is told at its start; gate_number is filled in here. Must stay until the
	 * supervisor is freed, which keeps the endpoints in it: there is room for max_endpoints. */
	struct gate_settings *settings;
	int tokens; /* a file of them, which becomes the supervisor's; -1: there are none */
	int *listeners; /* in the order of settings->endpoints, with as much room; the caller's */
	uint16_t port; /* of all of them */
	/* Whether the address is, or was, one of the server's endpoints: clients that came to it
	 * may still be there. */
	bool (*is_ours)(void *context, struct ipv4 bind);
	int issuers_fd; /* of ipc/issuer_sheet.h, where the settings have it; the caller's */
	/* The keys of this issuer are to be fetched. */
	void (*on_fetch_keys)(void *context, unsigned int issuer);
	gate_supervisor_request_fn *on_request;
	/* A gate says that it has refused requests by itself. */
	void (*on_refused)(void *context, const struct refused_request *refusal);
	gate_supervisor_ended_fn *on_gate_ended;
	/* A gate was started, and needs a signer. */
	void (*on_started)(void *context, unsigned int number);
	gate_supervisor_event_fn *on_ready;
	gate_supervisor_event_fn *on_drained;
	void *context;
};

/* Starts the gates. Returns 0 or -errno, and logs why. */
int gate_supervisor_new(struct event_base *base, const struct gate_supervisor_config *config,
	struct gate_supervisor **supervisor);

/*
 * Has all gates serve one more endpoint, at its listening socket, which stays the caller's and must
 * be open until the next call. Returns 0, -ENOSPC or -ENOMEM, and then it is to be taken back too.
 */
int gate_supervisor_serve(
	struct gate_supervisor *supervisor, const struct gate_endpoint *endpoint, int listener);
/* Has them serve it no more. Logs. */
void gate_supervisor_serve_no_more(struct gate_supervisor *supervisor, struct ipv4 bind);

/* Has all gates, and those that are started later, work with other settings. Returns 0 or -ENOMEM:
 * not all of those that run will know. */
int gate_supervisor_change(struct gate_supervisor *supervisor, const struct live_settings *live);

/*
 * Likewise with other tokens, in a file as token_set_write() makes it, which becomes the
 * supervisor's.
 */
int gate_supervisor_use_tokens(struct gate_supervisor *supervisor, int fd);

/* Gives a gate its socket to a signer, which stays the caller's. A gate that is gone gets nothing.
 */
void gate_supervisor_give_signer(
	struct gate_supervisor *supervisor, unsigned int number, int signer_fd);

/* Ends a gate that the signer does not serve any more, for what it has done; logs. */
void gate_supervisor_drop(struct gate_supervisor *supervisor, unsigned int number, int error);

/* Answers a request. If the gate that sent it is gone, so is the answer. */
void gate_supervisor_answer(struct gate_supervisor *supervisor, const struct reply_to *reply_to,
	enum ipc_status status, struct ipv4 address);

/* Returns how many clients are connected and have no answer yet, as the gates say. */
uint64_t gate_supervisor_waiting(const struct gate_supervisor *supervisor);
/* Adds what all gates have answered, since the server's start. */
void gate_supervisor_count(const struct gate_supervisor *supervisor, struct gate_counts *counts);
/* A gate as it is now; number from 0. */
const struct child *gate_supervisor_get(
	const struct gate_supervisor *supervisor, unsigned int number);

/* Tells the gates to finish what they have and go; none is replaced any more. hand_over: to serve
 * whoever is connected, since others go on with the listeners. */
void gate_supervisor_drain(struct gate_supervisor *supervisor, bool hand_over);

/* Ends gates that are still there, waits for them and frees. */
void gate_supervisor_free(struct gate_supervisor *supervisor);
