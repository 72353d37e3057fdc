/*
 * Two clients behind one NAT are one IPIP peer to the server: with both at work the tunnel works
 * for one of them. They are told apart by the ids that they send (docs/api.md, Vprox-Client). And a
 * peer of either kind that has a name is nobody else's to ask for or to remove.
 */
#pragma once

struct client_request;
struct endpoint;
struct peer;

enum { RIVAL_MS = 10000 };

enum rival {
	RIVAL_NONE,
	RIVAL_ACTIVE,
	RIVAL_UNKNOWN, /* the last reading has seen none, and another one may; else as RIVAL_NONE */
};

/*
 * Whether a peer is another client's than the one's that asks for it: it is IPIP and was last asked
 * for under another id, or it has a name, and the request not this one; and bytes have come from it
 * within RIVAL_MS. Of a zero id, and of a peer that was asked for without one, the id says nothing.
 */
enum rival rival_find(const struct endpoint *endpoint, const struct peer *peer,
	const struct client_request *request);
