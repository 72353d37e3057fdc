/*
 * The broker's end of the store: starts its process, keeps the orders that it has not confirmed,
 * and tells it again what one that died may not have written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/storing.h"

struct child;
struct event_base;
struct store_link;

struct store_link_config {
	struct store_config store; /* what the process is told */
	const char *program; /* its path; the caller's */
	/* All orders up to this sequence number are on the disk. */
	void (*on_durable)(void *context, uint64_t sequence);
	/* The store has nothing: all that is promised is to be ordered again. */
	void (*on_lost)(void *context);
	/* Another host, which has named itself so, serves this address since: no order about it is
	 * stored. After store_link_claim_if_left() the name may be missing. */
	void (*on_superseded)(void *context, struct ipv4 bind, const char *host);
	/* What this endpoint has belongs to that of another address, or it has other numbers itself
	 * in its fleet, or, where a host is named, another key and other clients, of that host: no
	 * order about it is stored. */
	void (*on_collides)(void *context, const struct stored_endpoint *endpoint,
		struct ipv4 other, const char *host);
	/* What is stored of an address that store_link_claim() was called for, and then that this
	 * was all. Where the store dies in between, some comes twice. */
	void (*on_record)(void *context, const struct storing_message *record);
	void (*on_claimed)(void *context, struct ipv4 bind);
	/* What another host promises at this address comes next by on_record(): all of it, or what
	 * has changed; and then that this was it. */
	void (*on_following)(void *context, struct ipv4 bind, bool is_all);
	void (*on_followed)(void *context, struct ipv4 bind);
	/* Whether so many clients wait beside this number that the processors have work while what
	 * is ordered waits for them; NULL: never. */
	bool (*more_come)(void *context, size_t n_ordered);
	void *context;
};

/* Starts the process. Returns 0 or -errno, and logs why. */
int store_link_new(
	struct event_base *base, const struct store_link_config *config, struct store_link **link);

/* NULL: the store has died, and begins anew; what it has said so far does not count. */
typedef void store_record_fn(void *context, const struct storing_message *record);
/*
 * At the server's start, before the event loop runs: calls back for all that is stored, and starts
 * a store that dies meanwhile again. Blocks, at most for so long. Returns 0, -ECANCELED if it can
 * be of no use to this server, which was logged, -EEXIST after on_collides(), or -errno, -ETIMEDOUT
 * among them: then what is stored stays there, under what is ordered.
 */
int store_link_load(
	struct store_link *link, unsigned int timeout_ms, store_record_fn *record, void *context);

/*
 * Orders something to be written: the message's version and sequence number are filled in. Orders
 * about one address that are still here are one, the last. Returns the sequence number that
 * on_durable() will come to; 0 if there was no memory for it, or if the store can be of no use to
 * this server, which was logged.
 */
uint64_t store_link_order(struct store_link *link, const struct storing_message *order);

/* This host has this address since: has it claimed, and what is stored of it told. Returns 0, or
 * -ENOTCONN if the store can be of no use to this server. */
int store_link_claim(struct store_link *link, struct ipv4 bind);
/* Likewise, of one that on_followed() was called for since store_link_release(): only what has
 * changed since is told, or all again, and on_followed() called before on_claimed(). */
int store_link_claim_rest(struct store_link *link, struct ipv4 bind);
/* Likewise, of one that another host has claimed, and only if that host serves it no more. If it
 * does, on_superseded() is called again. Returns likewise. */
int store_link_claim_if_left(struct store_link *link, struct ipv4 bind);
/* It is claimed: a store that is started again claims it, too. */
void store_link_hold(struct store_link *link, struct ipv4 bind);
/* This host has it no more. */
void store_link_release(struct store_link *link, struct ipv4 bind);

/* Forgets all orders that are not confirmed. */
void store_link_forget(struct store_link *link);

/* The sequence number of the newest order; 0: there was none. */
uint64_t store_link_newest(const struct store_link *link);

/* How many orders are not on the disk yet. */
size_t store_link_behind(const struct store_link *link);
/* For how long the oldest of these has waited, in ms; 0: there is none. */
uint64_t store_link_lag_ms(const struct store_link *link);
/* What it has said of itself last. */
const struct stored_state *store_link_state(const struct store_link *link);
/* The process as it is now. */
const struct child *store_link_process(const struct store_link *link);

/* Hangs up; the store writes what it has been told, and ends: waits for that, a few seconds at the
 * most. NULL is fine. */
void store_link_free(struct store_link *link);
