/* Handshake messages, out and in: control thread only, for control.c. */
#pragma once

#include "device/control.h"

/* Begins a handshake if none is under way and it is not too soon for one. */
void exchange_begin(struct control *control, struct peer *peer);
/* Sends an initiation now. */
void exchange_initiate(struct control *control, struct peer *peer);
/* Sends a keepalive; without a key, begins a handshake. */
void exchange_keepalive(struct control *control, struct peer *peer);
/* The other side uses a session that we have made as the responder. */
void exchange_confirm(struct control *control, struct peer *peer);
