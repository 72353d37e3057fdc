/*
 * What the gates count of requests and their answers: each in a sheet of its own, memory that it
 * shares with the broker, which adds the sheets up. A sheet outlives its gate, and the next gate of
 * that number goes on with it: so nothing is lost when a gate dies, and no number goes back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"

/* What can be asked for: the routes of gate/routes.c. Nothing that a client writes is a name. */
enum gate_path {
	GATE_PATH_ROOT,
	GATE_PATH_HEALTH,
	GATE_PATH_VERSION,
	GATE_PATH_CONNECT,
	GATE_PATH_CONNECT_IPIP,
	GATE_PATH_DISCONNECT,
	GATE_PATH_DISCONNECT_IPIP,
	GATE_PATH_RELINQUISH,
	GATE_PATH_OTHER, /* none of these, or what could not be read */
	GATE_N_PATHS,
};

extern const char *const gate_path_names[GATE_N_PATHS]; /* "/connect" and so on; "other" */

/* Those of docs/api.md; others count as the last, 0. */
enum {
	GATE_N_STATUSES = 13,
};

extern const unsigned int gate_statuses[GATE_N_STATUSES];

/* Why somebody was not given what he had asked for. To add one, add a line. */
#define GATE_REFUSALS(REFUSAL)                                                                     \
	REFUSAL(PASSWORD, "password") /* no bearer, or one that is no password */                  \
	REFUSAL(TOKEN, "token") /* a token that is not good, or not any more */                    \
	REFUSAL(LIMIT, "limit") /* he has as much as one may have */                               \
	REFUSAL(POOL, "pool") /* no address is left */                                             \
	REFUSAL(SOURCE, "source") /* from where he asks, he cannot have it */                      \
	REFUSAL(CONNECTIONS, "connections") /* not accepted: he has too many connections */        \
	REFUSAL(RIVAL, "rival") /* another client has that tunnel */                               \
	REFUSAL(NOT_SERVED, "not_served") /* the address is not served here any more */            \
	REFUSAL(STOPPING, "stopping") /* the server ends */                                        \
	REFUSAL(FAILED, "failed") /* the data plane has refused */                                 \
	REFUSAL(MALFORMED, "malformed") /* no request that there is */

#define GATE_REFUSAL_OF(name, label) GATE_REFUSED_##name,
enum gate_refusal {
	GATE_REFUSALS(GATE_REFUSAL_OF) /* none: */
	GATE_N_REFUSALS,
};
#undef GATE_REFUSAL_OF

extern const char *const gate_refusal_names[GATE_N_REFUSALS];

enum {
	GATE_TURN_MS = 2000, /* from one turn that is counted to the next */
};

/* 8-byte numbers, so that none is seen half written. */
struct gate_counts {
	uint64_t turns; /* of the gate's event loop: one that hangs counts none */
	uint64_t waiting; /* clients that are connected now, and have no answer yet */
	uint64_t answers[GATE_N_PATHS][GATE_N_STATUSES];
	uint64_t refusals[GATE_N_REFUSALS];
	struct histogram durations[GATE_N_PATHS]; /* from the connection to the answer */
};

/* For the broker. Returns an empty sheet, a memfd of a fixed size (close-on-exec), or -errno. */
int gate_counts_new(void);
/* Adds what is on a sheet to what is there. A gate that was taken over may have written anything.
 * Returns 0 or -errno. */
int gate_counts_join(struct gate_counts *counts, int sheet_fd);

/* For the broker: nobody waits at the gate that wrote this sheet any more. */
void gate_counts_forget_waiting(struct gate_counts *counts);
/* For the broker; how many the gate says wait: one that was taken over may say anything. */
uint64_t gate_counts_waiting(const struct gate_counts *counts);
/* For the broker: turns, which say nothing but whether they are others than before. */
uint64_t gate_counts_turns(const struct gate_counts *counts);

/* For a gate; without a sheet (NULL) nothing is counted. Returns its sheet, mapped for as long as
 * it lives, or NULL with errno set. The broker maps it too, until gate_counts_unmap(). */
struct gate_counts *gate_counts_map(int sheet_fd);
/* NULL is fine. */
void gate_counts_unmap(struct gate_counts *counts);
/* One answer of this status, so many microseconds after the connection. */
void gate_counts_answer(
	struct gate_counts *counts, enum gate_path path, unsigned int status, uint64_t us);
/* Its event loop has turned, every GATE_TURN_MS. */
void gate_counts_turn(struct gate_counts *counts);
/* One client more, or one less, that waits for an answer. */
void gate_counts_wait(struct gate_counts *counts, bool is_more);
/* GATE_N_REFUSALS: none. */
void gate_counts_refusal(struct gate_counts *counts, enum gate_refusal refusal);
