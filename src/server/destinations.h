/* What the peers of a name may reach: allow-to= of its token. The firewall is told before a peer
 * can send anything. */
#pragma once

#include <stdbool.h>

#include "base/ipv4.h"
#include "server/all_peers.h"

struct address_set;
struct client_name;
struct confining;
struct name_rules;

/* What a peer of this name that has this inner address reaches: a view of the tokens in force. */
struct confining destinations_of(
	const struct name_rules *rules, const struct client_name *name, struct ipv4 inner);

/*
 * Before a peer of this name is made at an inner address, or is given another name. Nothing is done
 * where nothing changes. Returns 0 or -errno, logged: then it must not be made.
 */
int destinations_confine(
	const struct endpoint *endpoint, const struct client_name *name, struct ipv4 inner);

/* Brings what the tokens say to all peers that are there, in one go: for a start. */
void destinations_enforce(const struct name_rules *rules);

/* Bringing other tokens to all peers that are there, some at a time; the caller's. */
struct destinations_round {
	const struct name_rules *rules;
	struct all_peers peers;
	bool is_through; /* the peers that are left have it too */
	peer_walk_done_fn *done;
	void *context;
};

/* The rules are the caller's. Returns 0 or -ENOMEM. */
int destinations_round_init(struct destinations_round *round, struct event_base *base,
	const struct name_rules *rules, peer_walk_done_fn *done, void *context);
/* Zeroed is fine. Nobody is told. */
void destinations_round_free(struct destinations_round *round);

/*
 * The tokens are other ones. Who asks from now on has what they say; those that are there have it
 * one after the other, and all of them when done is called, which may be before this returns. One
 * that is under way begins anew. Where the firewall's table lacks what the tokens need, or cannot
 * be changed, it is loaded anew, once, with all of it.
 */
void destinations_round_begin(struct destinations_round *round);
bool destinations_round_runs(const struct destinations_round *round);

/* These addresses were nobody's when their connections began to be purged. */
void destinations_forget(const struct name_rules *rules, const struct address_set *unused);
