/* The data plane as the configuration wants it: one endpoint for each --ip, with what an earlier
 * server left taken over. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/assignment.h"
#include "server/endpoint.h"

struct event_base;
struct flow_purge;
struct server_config;
struct store_setup;

struct data_plane {
	const struct server_config *config;
	const struct store_setup *store; /* the caller's, set before data_plane_find() */
	struct plane *plane;
	struct endpoint *endpoints; /* in the order of the configuration; NULL until found */
	struct assignment *assignments;
	struct flow_purge *flow_purge; /* NULL until all endpoints are open */
	size_t n_open; /* endpoints that endpoint_open() was called for */
};

/* Who answers requests. */
struct data_plane_answer {
	endpoint_answer_fn *answer;
	void *context;
};

/*
 * Chooses a plane, gives every --ip its index, removes what an earlier server left for others, and
 * describes the endpoints; nothing is made yet. Logs. Returns 0 or -errno.
 */
int data_plane_find(struct data_plane *data_plane, const struct server_config *config,
	const struct key *private_key, const struct data_plane_answer *answer);

/* Whether the plane that was found starts its devices' processes as children of ours. */
bool data_plane_starts_processes(const struct data_plane *data_plane);

/* Opens the endpoints' devices, adopts their peers, makes those that were promised and are not
 * there, and has the connections deleted that are left of addresses without a peer. Logs. Returns 0
 * or -errno. */
int data_plane_open(struct data_plane *data_plane, struct event_base *base);

/*
 * Sets endpoint->keep; what does not stay is not promised either. After a start that failed, what
 * was there before it stays; else what was relinquished, or all with
 * --on-exit=keep.
 */
void data_plane_decide_what_stays(struct data_plane *data_plane, bool started);

/* Tells the store all that is promised, when it has lost it. */
void data_plane_promise_all(struct data_plane *data_plane);

/* Nothing of this address is told to the store any more. */
void data_plane_forsake(struct data_plane *data_plane, struct ipv4 bind);

/* Closes what is open; what does not stay is removed. Logs. Returns 0 or the last error. */
int data_plane_close(struct data_plane *data_plane);

/* Frees what data_plane_find() made, also when it failed. */
void data_plane_free(struct data_plane *data_plane);
