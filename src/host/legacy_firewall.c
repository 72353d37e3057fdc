/*
 * Keeps the chain VPROX in the filter table of iptables-legacy, and removes it. The broker, every
 * 5 s: only when the table has changed it starts programs, which a thread waits for. And `vprox
 * clean`.
 */
#include "host/legacy_firewall.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/job.h"
#include "base/log.h"
#include "host/host_config.h"
#include "host/iptables.h"
#include "host/legacy_batch.h"
#include "host/legacy_digest.h"

enum {
	MAX_DELAY = 12, /* calls between two tries that fail: a minute */
};

struct legacy_firewall {
	const struct host_config *config;
	struct job *job; /* NULL: nothing is waited for in a thread */
	bool is_serving; /* the first call is over */
	bool is_running; /* the job: the next six are its thread's until it ends */

	struct host_config wanted; /* config, as it was when the job began */
	struct host_endpoint *endpoints; /* wanted's */
	char *saved; /* what there was */
	char *batch; /* what was to be done, "": nothing */
	bool leads_to_shared; /* RULESET_PLACE_SHARED */
	struct run_error error;

	/* What was seen last. */
	bool is_outdated; /* config has changed since it was copied */
	bool is_known; /* the digest is of a table that is as it should be */
	uint8_t digest[LEGACY_DIGEST_SIZE];
	bool is_failing; /* logged */
	bool is_shared; /* likewise */
	unsigned int delay, wait; /* calls, after a failure: until the next try */
};

/* *saved is what there is; "" where legacy iptables is not in use. Returns 0 or -errno. */
static int read_saved(char **saved, struct run_error *error)
{
	int result = 0;

	snprintf(error->text, sizeof error->text, "out of memory");
	*saved = NULL;
	if (iptables_in_use(IPTABLES_LEGACY))
		result = iptables_save(IPTABLES_LEGACY, saved, error);
	if (result == 0 && !*saved && !(*saved = strdup("")))
		result = -ENOMEM;
	return result;
}

/* Applies a batch, "" if there is nothing to do; NULL when there was no memory for it. Returns 1 if
 * it changed anything, 0, or -errno. */
static int apply(const char *batch, struct run_error *error)
{
	int result;

	if (!batch) {
		snprintf(error->text, sizeof error->text, "out of memory");
		return -ENOMEM;
	}
	if (!*batch)
		return 0;
	result = iptables_restore(IPTABLES_LEGACY, batch, error);
	return result < 0 ? result : 1;
}

static void log_shared(struct legacy_firewall *state, bool is_shared)
{
	if (is_shared && !state->is_shared)
		log_warning(
			"the FORWARD chain of iptables-legacy drops the tunnels' traffic and "
			"cannot be changed (it leads to a chain that has rules of its own that "
			"drop, and that packets to or from this host pass too): add rules to it "
			"that accept what comes from and what goes to the interfaces vprox* and "
			"vp<number>-*");
	state->is_shared = is_shared;
}

static void log_change(const char *batch)
{
	if (strstr(batch, " -j VPROX\n"))
		log_info("the FORWARD chain of iptables-legacy lets the tunnels' traffic through "
			 "now, by a chain VPROX of its own");
	else
		log_info("removed the chain VPROX from iptables-legacy");
}

static void forget_texts(struct legacy_firewall *state)
{
	free(state->saved);
	free(state->batch);
	state->saved = state->batch = NULL;
}

/* In the job's thread. Returns 0 if the table is as it should be, 1 if it had to be changed, or
 * -errno. */
static int open_table(void *context)
{
	struct legacy_firewall *state = context;
	int result;

	forget_texts(state);
	state->leads_to_shared = false;
	result = read_saved(&state->saved, &state->error);
	if (result < 0)
		return result;
	state->batch = legacy_batch_opening(state->saved, &state->wanted, &state->leads_to_shared);
	return apply(state->batch, &state->error);
}

/* The next tries are further and further apart. */
static void fail(struct legacy_firewall *state, const char *reason)
{
	if (!state->is_failing)
		log_error("cannot let the tunnels' traffic through iptables-legacy: %s", reason);
	state->is_failing = true;
	state->is_known = false;
	state->delay = 2 * state->delay + 1;
	if (state->delay > MAX_DELAY)
		state->delay = MAX_DELAY;
	state->wait = state->delay;
}

static void on_opened(void *context, int result)
{
	struct legacy_firewall *state = context;

	state->is_running = false;
	if (state->batch)
		log_shared(state, state->leads_to_shared);
	if (result < 0) {
		fail(state, state->error.text);
		return;
	}
	if (result > 0)
		log_change(state->batch);
	state->is_known = !state->is_outdated;
	state->is_failing = false;
	state->delay = 0;
}

static int copy_config(struct legacy_firewall *state)
{
	size_t n = state->config->n_endpoints;
	struct host_endpoint *endpoints = calloc(n + 1, sizeof *endpoints);

	if (!endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		endpoints[i] = state->config->endpoints[i];
	free(state->endpoints);
	state->endpoints = endpoints;
	state->wanted = *state->config;
	state->wanted.endpoints = endpoints;
	state->is_outdated = false;
	return 0;
}

/* The digest is of before the change: the next call sees one more, and finds nothing to do. */
static void open_changed(struct legacy_firewall *state, const uint8_t digest[LEGACY_DIGEST_SIZE])
{
	int error = copy_config(state);

	if (error < 0) {
		fail(state, strerror(-error));
		return;
	}
	memcpy(state->digest, digest, sizeof state->digest);
	if (!state->job || !state->is_serving) {
		on_opened(state, open_table(state));
		return;
	}
	state->is_known = false;
	error = job_start(state->job);
	if (error < 0)
		fail(state, strerror(-error));
	else
		state->is_running = true;
}

static void forget_table(struct legacy_firewall *state)
{
	forget_texts(state);
	state->is_known = state->is_failing = state->is_shared = false;
	state->delay = 0;
}

static void reconcile(struct legacy_firewall *state)
{
	uint8_t digest[LEGACY_DIGEST_SIZE];
	int error;

	if (!iptables_legacy_has_filter()) {
		forget_table(state);
		return;
	}
	error = legacy_digest(digest);
	if (error == -EAGAIN)
		return;
	if (error < 0)
		fail(state, strerror(-error));
	else if (!state->is_known || memcmp(digest, state->digest, sizeof digest) != 0)
		open_changed(state, digest);
}

void legacy_firewall_reconcile(struct legacy_firewall *state)
{
	if (state->wait > 0)
		state->wait--;
	else if (!state->is_running)
		reconcile(state);
	state->is_serving = true;
}

void legacy_firewall_endpoints_changed(struct legacy_firewall *state)
{
	state->is_outdated = true;
	state->is_known = false;
}

const char *legacy_firewall_saved(const struct legacy_firewall *state)
{
	return state->is_running ? NULL : state->saved;
}

struct legacy_firewall *legacy_firewall_new(
	struct event_base *base, const struct host_config *config)
{
	struct legacy_firewall *state = calloc(1, sizeof *state);

	if (!state)
		return NULL;
	state->config = config;
	if (base && job_new(base, open_table, on_opened, state, &state->job) < 0) {
		free(state);
		return NULL;
	}
	return state;
}

void legacy_firewall_free(struct legacy_firewall *state)
{
	if (!state)
		return;
	job_free(state->job);
	forget_texts(state);
	free(state->endpoints);
	free(state);
}

int legacy_firewall_remove(bool dry_run)
{
	auto_free char *saved = NULL;
	auto_free char *batch = NULL;
	struct run_error error;
	int result = read_saved(&saved, &error);

	if (result < 0) {
		log_warning("cannot see what iptables-legacy forwards: %s", error.text);
		return result;
	}
	batch = legacy_batch_closing(saved);
	if (dry_run && batch)
		result = *batch != '\0';
	else
		result = apply(batch, &error);
	if (result < 0)
		log_error("cannot remove the chain VPROX from iptables-legacy: %s", error.text);
	else if (result > 0)
		log_info("%s the chain VPROX from iptables-legacy",
			dry_run ? "would remove" : "removed");
	return result;
}
