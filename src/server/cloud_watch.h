/*
 * --cloud: which addresses this host's cloud says it has. A process without rights asks; what it
 * says is checked here, and what cannot be the host's is left out and logged. What is known is kept
 * in CLOUD_WATCH_FILE, so that a server that starts goes on where the one before it was, whether
 * the cloud answers or not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"
#include "base/lock.h"

#define CLOUD_WATCH_FILE RUN_FOLDER "/cloud-addresses"

struct child;
struct cloud_watch;
struct event_base;
struct gate_config;
struct server_config;

struct cloud_watch_config {
	const struct server_config *config; /* the caller's, who may change it */
	const struct gate_config *gates; /* who they run as */
	/* There are other addresses. */
	void (*changed)(void *context, const struct ipv4 *addresses, size_t n);
	void *context;
};

/* Starts the process, and where nothing is known of before, waits a moment for its first answer.
 * Logs. Returns 0 or -errno; to be freed in either case. */
int cloud_watch_new(struct event_base *base, const struct cloud_watch_config *config,
	struct cloud_watch **watch);
/* Those that are known, *n of them. NULL is fine: none. */
const struct ipv4 *cloud_watch_addresses(const struct cloud_watch *watch, size_t *n);
/* Its process; NULL: there is none. NULL is fine. */
const struct child *cloud_watch_process(const struct cloud_watch *watch);
/* Ends the process. forgets: what is known is not for the next server. NULL is fine. */
void cloud_watch_free(struct cloud_watch *watch, bool forgets);
