/*
 * Two clients behind one NAT are one IPIP peer to the server: with both at work the tunnel works
 * for one of them. They are told apart by the ids that they send (docs/api.md, Vprox-Client). And a
 * peer of either kind that has a name is nobody else's to ask for or to remove.
 */
#pragma once

#include <stdbool.h>

struct client_request;
struct endpoint;
struct peer;

enum { RIVAL_MS = 10000 };

/*
 * Whether a peer is another client's than the one's that asks for it: it is IPIP and was last asked
 * for under another id, or it has a name, and the request not this one; and bytes have come from it
 * within RIVAL_MS, by a reading of the plane that is made here if the last one has seen none. Of a
 * zero id, and of a peer that was asked for without one, the id says nothing.
 */
bool rival_is_active(
	struct endpoint *endpoint, struct peer *peer, const struct client_request *request);
