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

/* What is told of addresses that may come to this host while it runs, and asked. */
struct store_addresses {
	/* Whether the host has this address, which it follows. */
	bool (*has)(void *context, struct ipv4 bind);
	/* Another host serves this address since, which this one has followed. */
	void (*superseded)(void *context, struct ipv4 bind);
	/* What was promised at this address is known now. */
	void (*claimed)(void *context, struct ipv4 bind);
	/* What another host promises at this address is known now, or what has changed of that;
	 * is_coming: this host has got it. Returns whether it is of no use any more. */
	bool (*followed)(void *context, struct ipv4 bind, bool is_all, bool is_coming);
	void *context;
};

/* Zeroed: there is none. */
struct store_setup {
	struct store_link *link; /* NULL with --store=none, or where it cannot be started */
	struct held_answers *held;
	struct claims *claims; /* NULL: what is stored is this host's alone */
	bool is_closing; /* the endpoints are closed: what was ordered is all */
	struct promised promised; /* until the endpoints are open; with --follow always */
	const struct server_config *config;
	char program[PATH_MAX]; /* of the store's process */
	/* Begins to promise everything there is, and calls store_setup_all_is_ordered() when it
	 * has. */
	void (*order_all)(void *context);
	/* Nothing of this address is to be promised any more. */
	void (*forsake)(void *context, struct ipv4 bind);
	struct store_addresses addresses;
	/* As of store_link_config. */
	bool (*more_come)(void *context, size_t n_ordered);
	bool is_all; /* what is being told of such an address is all */
	void *context;
};

/*
 * Starts the store and reads what is in it. A server works without one: what goes wrong is logged,
 * and that is all; but -EEXIST if one of its endpoints has what is another host's: then it must not
 * start. Else 0. `gates` says who the processes without rights are; followed are the n addresses
 * that the host has beside those of the configuration. answer gives the answers that are held; it
 * and the setup's callbacks are called from the event loop.
 */
int store_setup_open(struct store_setup *setup, struct event_base *base,
	const struct server_config *config, const struct gate_config *gates,
	const struct ipv4 *followed, size_t n, endpoint_answer_fn *answer);

/* What order_all() began is ordered: answers that wait for it are given when it is stored. */
void store_setup_all_is_ordered(struct store_setup *setup);

/* The host has got this address; is_ready: what was followed of it is there. Returns 0 if it can be
 * served now; -EINPROGRESS: when it is claimed, or when this is asked again a little later; -EBUSY:
 * likewise, but another host serves it at present; or another -errno. */
int store_setup_gain(struct store_setup *setup, struct ipv4 bind, bool is_ready);
/* What was promised at this address is made: it is known from its endpoint from now on. */
void store_setup_kept(struct store_setup *setup, struct ipv4 bind);
/* The host has lost this address, and its endpoint is closed. Returns whether another host may have
 * it by now: then nothing that is known of it counts. */
bool store_setup_lose(struct store_setup *setup, struct ipv4 bind);

/* The WireGuard key that tunnels of the configured endpoints were made with; false: none is stored.
 * An endpoint that is served no more may have had an older one. */
bool store_setup_find_key(const struct store_setup *setup, struct key *key);

/* Has the rest written, ends the process and frees. */
void store_setup_close(struct store_setup *setup);
