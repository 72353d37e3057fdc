/*
 * Who is let in, who has to go when it gets crowded, and how the gate empties when it is to finish.
 */
#pragma once

#include <stdbool.h>

#include "gate/connection_set.h"

/* Takes over a connection that was just accepted: non-blocking, nothing read from it yet. One too
 * many of its source is closed at once; one too many in all takes the place of the oldest. */
void admission_admit(struct connection_set *set, int fd, const struct client_address *client);

/* Closes a connection to make room: the one answered first, for it has what it came for, else the
 * oldest that does not wait for the broker. False if there is none. */
bool admission_evict(struct connection_set *set);

/* No connection will come any more. Calls emptied() as soon as there is none, which may be now.
 * Those that are there are served; else idle ones are closed, and requests refused. */
void admission_drain(struct connection_set *set, bool serves);

/* Closes those that have sent no byte of a request; in_line_too: also if they wait for the turn of
 * their handshake. */
void admission_close_idle(struct connection_set *set, bool in_line_too);

/* Closes all connections, without calling emptied(). */
void admission_close_all(struct connection_set *set);
