/*
 * Peers that are promised and not made yet. They are made in batches, between which the server
 * answers requests; those active last come first. One whose client asks meanwhile is made for that
 * request, and does not wait for its turn.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct endpoint;
struct event_base;
struct owed;
struct owed_round;
struct plane_peer;
struct stored_peer;

/* base NULL, in a test: all are made at once. Returns 0 or -ENOMEM. */
int owed_init(struct owed *owed, struct endpoint *endpoint, struct event_base *base);
/* Those that were not made stay owed. */
void owed_free(struct owed *owed);

/* One more that is owed, as it is not there: its address is taken, what it may reach is set, and
 * what was promised to it is known. False: its address is another's, or none that the pool gives
 * out, what it may reach cannot be set, or there is no memory; then it has none. */
bool owed_add(struct endpoint *endpoint, const struct stored_peer *stored);

/*
 * Begins to make those of the endpoint that are owed, if there are any, in an order that holds for
 * those that are owed by now; what is under way begins anew. Of an endpoint that is served each
 * shakes hands when it is made. What a plane refuses is given up. What a device that is lost, or
 * did not answer in time, was not given stays owed, and is tried again; of one that is lost at the
 * endpoint's next inspection, where it is no standby. Logs.
 */
void owed_make(struct endpoint *endpoint);

/*
 * Makes n of them now, of an endpoint that was just opened; nobody is answered meanwhile. In the
 * round those that could not even be owed have failed already. As owed_make(), but that all of what
 * a device was not given is tried again at the endpoint's next inspection. Logs.
 */
void owed_make_now(struct owed_round *round, const struct plane_peer *ids, size_t n);
