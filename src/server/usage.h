/*
 * What the peers of an endpoint have used: read from the plane into the peers and the endpoint's
 * totals, and nothing is done about it. With 50,000 peers a reading takes a tenth of a second and
 * more: so it is made in pieces, beside what else the broker serves, and one reading serves all who
 * want one at the time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct event_base;
struct usage_waiter;

void usage_init(struct endpoint *endpoint, struct event_base *base);

/* Begins a reading, or joins the one that is under way; done() is called once, perhaps before this
 * returns. A waiter that waits already goes on waiting. */
void usage_request(struct endpoint *endpoint, struct usage_waiter *waiter);
/* It is not called any more. */
void usage_cancel(struct endpoint *endpoint, struct usage_waiter *waiter);

/* The device is to be closed: ends a reading. Who waits is told -ECANCELED. */
void usage_abandon(struct endpoint *endpoint);

/* A whole reading at once. Returns what done() is told. */
int usage_read(struct endpoint *endpoint);

/* Whether the last reading is older than that, and than so many times what it took that others have
 * most of the broker's time. */
bool usage_is_old(const struct endpoint *endpoint, uint64_t period_ms);

/* Reads it if it is old; at once if that takes no longer than
 * longest_ms, in which nobody is served, else beside, for who asks next. What cannot be read stays
 * as it was, and its age tells. */
void usage_refresh(struct endpoint *endpoint, uint64_t period_ms, uint64_t longest_ms);
