/* What a peer has while it is in use: made when needed, ended when nothing is left in it. The
 * control thread's. */
#pragma once

#include "device/wireguard/wireguard.h"

/* NULL if there is none. */
struct session *session_of(const struct wg_peer *peer);
/* NULL: no memory. */
struct session *session_get(struct wireguard *wg, struct wg_peer *peer);

/* After anything has changed in it: sets its deadline, or ends it if nothing is left. */
void session_settle(struct wireguard *wg, struct wg_peer *peer);

/* The handshake that has been begun, if there is one, is forgotten. */
void session_drop_pending(struct wireguard *wg, struct session *session);

void session_end(struct wireguard *wg, struct wg_peer *peer);
