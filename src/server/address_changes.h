/*
 * What becomes of an address that comes to this host and goes while the server runs: whoever tells
 * of it (the kernel, the cloud, the store, the configuration), it is claimed where there is a
 * fleet, served, and served no more, and who reports what is served is told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"
#include "server/store_setup.h"

struct cloud_watch;
struct event_base;
struct follow;
struct gate_config;
struct reporter;
struct server_config;
struct serving;

struct address_changes {
	/* The caller's. */
	struct event_base *base;
	const struct server_config *config;
	const struct gate_config *gates; /* whom processes without rights run as */
	const struct serving *serving;
	struct store_setup *store;

	/* Its own. */
	struct cloud_watch *cloud; /* NULL without --cloud */
	struct follow *follow; /* NULL without --follow and --cloud */
	struct reporter *reporter; /* NULL: nothing is reported */
	bool is_ended; /* what comes is the next server's */
};

/* Asks the cloud, where there is one, and finds those of the host. Logs. Returns 0 or -errno. */
int address_changes_find(struct address_changes *changes);
/* Those that were there then, *n of them, for the server's start. */
const struct ipv4 *address_changes_present(const struct address_changes *changes, size_t *n);

/* How the store tells of claims, and asks. */
struct store_addresses address_changes_of_store(struct address_changes *changes);

/* From now on what comes is served. Returns 0 or -errno. */
int address_changes_start(struct address_changes *changes);
/* There are other --follow. */
void address_changes_look_again(struct address_changes *changes);

/* From now on it is reported what is served. */
void address_changes_start_report(struct address_changes *changes);
/* Something else is served, for another reason than a change of addresses. */
void address_changes_report(const struct address_changes *changes);

/* What is served stays so, whatever comes or goes. forgets: what the cloud has said is not for the
 * next server. More than once is fine, and so is what was never found. */
void address_changes_end(struct address_changes *changes, bool forgets);
