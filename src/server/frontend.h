/*
 * What faces the network: the listening sockets, the gates behind them, the signers that these
 * need, and the processes that fetch the keys of issuers. They are started in this order, and are
 * connected with each other here; what a gate asks is carried to the endpoint that it is for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ipc/gate_config.h"
#include "server/gate_supervisor.h"
#include "server/listener.h"
#include "server/listener_store.h"

struct data_plane;
struct event_base;
struct identity;
struct issuer_supervisor;
struct server_config;
struct signer_supervisor;

struct frontend {
	/* The caller's. */
	const struct server_config *config;
	const struct identity *identity; /* loaded before frontend_open_listeners() */
	struct data_plane *data_plane;
	gate_supervisor_event_fn *on_ready, *on_drained; /* as of gate_supervisor_config */
	void *context;

	/* Its own. */
	struct listener_store listener_store; /* .manager and .earlier.fd: -1 before its start */
	struct listeners listeners;
	struct gate_settings settings;
	int *gate_listeners;
	struct gate_supervisor *supervisor; /* NULL: the gates are not started, or are ended */
	struct signer_supervisor *signers; /* NULL: likewise */
	struct issuer_supervisor *issuers; /* NULL: only passwords are good */
};

/* Finds whom the processes without rights run as, and whether this one has the rights it needs.
 * Logs. Returns 0 or -errno. */
int frontend_find_user(struct frontend *frontend);

/* What listens already is found, and is kept beyond our end. To be called by who has the server's
 * lock: listener_store_start(). */
void frontend_start_store(struct frontend *frontend, struct event_base *base);

/* Logs. Returns 0 or -errno: nobody could be let in. */
int frontend_start_issuers(struct frontend *frontend, struct event_base *base);

/* Of the endpoints that are served from the start; the gates are told of them when they start.
 * Logs. Returns 0 or -errno. */
int frontend_open_listeners(struct frontend *frontend);

/* Starts signers and gates; from here on on_ready() and on_drained() are called. Logs. Returns 0 or
 * -errno. */
int frontend_start(struct frontend *frontend, struct event_base *base);

/* Whether the gates have so many clients without an answer that more orders for the store are to
 * come than the n_ordered there are. */
bool frontend_is_busy(const struct frontend *frontend, size_t n_ordered);

/* Who comes now is refused, where else he would wait for the next server. */
void frontend_stop_listening(struct frontend *frontend);
/* The gates finish what they have; keep: whoever comes now waits for the next server. */
void frontend_drain(struct frontend *frontend, bool keep);

/* Ends the processes, but for the one that keeps the listening sockets. Whatever has not been
 * started is fine, here and in frontend_free(). */
void frontend_stop(struct frontend *frontend);
/* After the stop; while there still is an event loop. */
void frontend_free(struct frontend *frontend);
