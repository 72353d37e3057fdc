/* What a peer has while it is in use: made when needed, ended when nothing is left in it. Control
 * thread only, for control.c and exchange.c. */
#pragma once

#include "device/control.h"

/* NULL if there is none. */
struct session *session_of(const struct peer *peer);
/* NULL: no memory. */
struct session *session_get(struct control *control, struct peer *peer);

/* After anything has changed in it: sets its deadline, or ends it if nothing is left. */
void session_settle(struct control *control, struct peer *peer);

/* The handshake that has been begun, if there is one, is forgotten. */
void session_drop_attempt(struct control *control, struct session *session);

void session_end(struct control *control, struct peer *peer);
