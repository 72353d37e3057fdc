/*
 * The data plane as the configuration wants it: an endpoint for each --ip and for each address that
 * --follow has found, with what an earlier server left taken over. An endpoint that was known once
 * stays known until the server ends, with its index and block, so that no other address is given
 * them; in a fleet the store knows them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/endpoint.h"
#include "server/name_rules.h"

struct event_base;
struct flow_purge;
struct name_file;
struct server_config;
struct store_setup;

struct data_plane {
	const struct server_config *config;
	struct store_setup *store; /* the caller's, set before data_plane_init() */
	struct audit *audit; /* likewise; NULL: there is none */
	struct owner_feed *owner_feed; /* likewise */
	const struct key *private_key; /* the caller's */
	endpoint_answer_fn *answer; /* who answers requests */
	void *answer_context;
	struct event_base *base; /* NULL until data_plane_open() */
	struct plane *plane;
	struct endpoint_list endpoints;
	struct name_rules name_rules;
	struct name_file *name_file; /* NULL: there is a store */
	struct flow_purge *flow_purge; /* NULL until all endpoints are open */
	struct histogram operations[REPORT_N_OPERATIONS]; /* how long they have taken */
};

/* The open ones. */
#define data_plane_for_each(data_plane, endpoint)                                                  \
	TAILQ_FOREACH (endpoint, &(data_plane)->endpoints, entry)                                  \
		if ((endpoint)->state == ENDPOINT_OPEN)

/* How many these are. */
size_t data_plane_count(const struct data_plane *data_plane);

/* Who answers requests. */
struct data_plane_answer {
	endpoint_answer_fn *answer;
	void *context;
};

/* Chooses a plane; there is no endpoint yet (initial_endpoints.h). The key is the caller's. Logs.
 * Returns 0 or -errno. */
int data_plane_init(struct data_plane *data_plane, const struct server_config *config,
	const struct key *private_key, const struct data_plane_answer *answer);

/* How many endpoints there is a block for, each by its index. */
unsigned int data_plane_blocks(const struct server_config *config);

/* Whether the plane that was found starts its devices' processes as children of ours. */
bool data_plane_starts_processes(const struct data_plane *data_plane);

/* The endpoint of an address; NULL: there was none yet. */
struct endpoint *data_plane_endpoint(const struct data_plane *data_plane, struct ipv4 bind);

/* Describes an endpoint for an address that has none yet, at the lowest index that nobody has had.
 * Logs. Returns NULL if there is no block left for it, or no memory. */
struct endpoint *data_plane_describe(struct data_plane *data_plane, struct ipv4 bind);

/* Likewise at this index, which nobody has. NULL: no memory, and what was described is freed with
 * all others. */
struct endpoint *data_plane_describe_at(
	struct data_plane *data_plane, struct ipv4 bind, unsigned int index);

/* Opens those endpoints that are to be served from the start, as data_plane_open_endpoint(), and
 * has the connections deleted that are left of addresses without a peer. Logs. Returns 0 or -errno.
 */
int data_plane_open(struct data_plane *data_plane, struct event_base *base);

/* Opens a device, adopts its peers, and makes those that were promised and are not there; or wakes
 * it where it rests, or takes it over where it is ready. Logs. Returns 0 or -errno. */
int data_plane_open_endpoint(struct data_plane *data_plane, struct endpoint *endpoint);

/*
 * Sets endpoint->keep; what does not stay is not promised either, but for what rests. After a start
 * that failed, what was there before it stays; else what was relinquished, or all with
 * --on-exit=keep.
 */
void data_plane_decide_what_stays(struct data_plane *data_plane, bool started);

/* Nothing of this address is told to the store any more. */
void data_plane_forsake(struct data_plane *data_plane, struct ipv4 bind);
/* Makes what was promised at this address, if it is served: it has come late. Returns whether it
 * is. */
bool data_plane_keep_promises(struct data_plane *data_plane, struct ipv4 bind);
/* Forgets an endpoint that is not served, with its tables: another host may have changed what holds
 * of it. One that is not there is fine. */
void data_plane_forget(struct data_plane *data_plane, struct ipv4 bind);

/* Closes what is open; what does not stay is removed. Logs. Returns 0 or the last error. */
int data_plane_close(struct data_plane *data_plane);

/* Frees what data_plane_init() made, also when it failed, and all endpoints. */
void data_plane_free(struct data_plane *data_plane);
