/*
 * --follow: which addresses inside some blocks the host has, and that each of them is served for as
 * long as it has it. --cloud: likewise those that the cloud names, for as long as it does. An
 * address is never added here, nor removed.
 *
 * One that comes is served at once. One that goes is served no more when it has been gone for a
 * second, or for longer if it came and went often of late: so one that flaps costs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ipv4.h"

struct event_base;
struct follow;
struct server_config;

struct follow_config {
	const struct server_config *config;
	const struct ipv4 *named; /* by the cloud, at the start; copied */
	size_t n_named;
	/* Returns 0; -ENOSPC if there is no place for this address; -EINPROGRESS if there is
	 * something to wait for, or -EBUSY if another host serves it by right: it is called again
	 * soon, as after any other error. */
	int (*begin)(void *context, struct ipv4 bind);
	/* Of one that begin() was called for, whatever that has returned. */
	void (*end)(void *context, struct ipv4 bind);
	void *context;
};

/* Finds those that the host has now. Logs. Returns 0 or -errno; to be freed in either case. */
int follow_new(struct event_base *base, const struct follow_config *config, struct follow **follow);
/* There are other --follow: looks again. What is not followed any more is served no more when that
 * has been so for a second, like an address that has gone. */
void follow_look_again(struct follow *follow);
/* From now on the cloud names these. NULL is fine. */
void follow_name(struct follow *follow, const struct ipv4 *addresses, size_t n);
/* NULL is fine. */
void follow_free(struct follow *follow);

/* Those that were there in follow_new(), *n of them, for the server's start. */
const struct ipv4 *follow_present(const struct follow *follow, size_t *n);

/* From now on the callbacks are called. The ones of follow_present() are served already, but for
 * those that the caller finds no place for. Returns 0 or -errno. */
int follow_start(struct follow *follow);

/* What begin() had to wait for is there: it is called again. NULL is fine. */
void follow_go_on(struct follow *follow, struct ipv4 bind);
/* Whether the host has this address at this moment. NULL is fine: it has not. */
bool follow_has(struct follow *follow, struct ipv4 bind);
/* It is served no more, though the host has it, since another host serves it by right: begin() is
 * called again soon. NULL is fine. */
void follow_yield(struct follow *follow, struct ipv4 bind);
