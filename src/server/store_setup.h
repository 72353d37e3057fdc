/* The store as the server's configuration wants it: its folder, its user, its process, and what
 * waits for it. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/key.h"
#include "server/endpoint.h"
#include "server/promised.h"

struct event_base;
struct gate_config;
struct server_config;

/* Zeroed: there is none. */
struct store_setup {
	struct store_link *link; /* NULL with --store=none, or where it cannot be started */
	struct held_answers *held;
	bool is_closing; /* the endpoints are closed: what was ordered is all */
	struct promised promised; /* until the endpoints are open */
	const struct server_config *config;
	char program[PATH_MAX]; /* of the store's process */
	void (*order_all)(void *context); /* promises everything there is */
	/* Nothing of this address is to be promised any more. */
	void (*forsake)(void *context, struct ipv4 bind);
	void *context;
};

/*
 * Starts the store and reads what is in it. A server works without one: what goes wrong is logged,
 * and that is all; but -EEXIST if one of its endpoints has what is another host's: then it must not
 * start. Else 0. `gates` says who the processes without rights are. answer gives the answers that
 * are held; it and order_all are called from the event loop.
 */
int store_setup_open(struct store_setup *setup, struct event_base *base,
	const struct server_config *config, const struct gate_config *gates,
	endpoint_answer_fn *answer);

/* The WireGuard key that tunnels of the configured endpoints were made with; false: none is stored.
 * An endpoint that is served no more may have had an older one. */
bool store_setup_find_key(const struct store_setup *setup, struct key *key);

/* Has the rest written, ends the process and frees. */
void store_setup_close(struct store_setup *setup);
