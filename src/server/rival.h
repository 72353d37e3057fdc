/*
 * Two clients behind one NAT are one IPIP peer to the server: with both at work the tunnel works
 * for one of them. They are told apart by the ids that they send (docs/api.md, Vprox-Client).
 */
#pragma once

#include <stdbool.h>

#include "base/key.h"

struct endpoint;
struct peer;

enum { RIVAL_MS = 10000 };

/*
 * Whether an IPIP peer is another client's than this id's: it was last asked for under another one,
 * and bytes have come from it within RIVAL_MS, by a reading of the plane that is made here if the
 * last one has seen none. A zero id, or a peer that was asked for without one, has no rival.
 */
bool rival_is_active(struct endpoint *endpoint, struct peer *peer, const struct key *id);
