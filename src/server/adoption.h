/*
 * Opening an endpoint. The data plane is the database: what an earlier server has left in it is
 * taken over, without interrupting any traffic.
 */
#pragma once

#include <stdbool.h>

struct endpoint;
struct event_base;

/*
 * Opens the endpoint's device and reads back who holds which address. config, public_key, plane,
 * clock and answer must be set. base may be NULL in a test, which then flushes the removals itself.
 * Logs what goes wrong. A device that is lost meanwhile is opened again. Returns 0 or -errno; to be
 * closed with endpoint_close() in either case.
 */
int endpoint_open(struct endpoint *endpoint, struct event_base *base);

/* keep: the data plane stays as it is. Returns what the plane's close() does; frees all but the
 * struct. */
int endpoint_close(struct endpoint *endpoint, bool keep);
