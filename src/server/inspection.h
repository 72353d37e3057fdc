/*
 * Inspecting an endpoint now and then: who has been silent for too long goes, what has vanished is
 * collected, a lost device is made again, what others have changed is put right.
 */
#pragma once

struct endpoint;
struct event_base;
struct idle_rule;
struct inspection;

/* base: NULL in a test, where an inspection is over when endpoint_inspect() returns. Returns 0 or
 * -ENOMEM. */
int inspection_init(
	struct inspection *inspection, struct endpoint *endpoint, struct event_base *base);
void inspection_free(struct inspection *inspection);

/* Has the plane put right what others have changed. Returns as plane_ops.reconcile(); what goes
 * wrong is logged. */
int endpoint_put_right(const struct endpoint *endpoint, unsigned int longest_ms);

/*
 * One inspection: reads the peers' usage, makes a lost device again, has the plane put right what
 * others have changed, and queues those whose time is up for removal. If the plane cannot be read,
 * nobody is removed until it can. Logs what goes wrong. It is made in pieces, beside what else the
 * broker serves; one that is asked for while one is under way follows that.
 */
void endpoint_inspect(struct endpoint *endpoint, const struct idle_rule *rule);
