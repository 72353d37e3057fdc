/* The peers of one endpoint: who they are, which address they hold, and when they last gave a sign
 * of life. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "plane/plane.h"
#include "server/peer_names.h"
#include "server/peer_sources.h"

enum {
	RATE_SPAN_MS = 1000,
};

/* A peer's place among those that are to be removed; removals.c's. */
struct removal;

/* Bytes per second, over the last span of RATE_SPAN_MS or more between two readings. */
struct peer_rate {
	uint64_t received_before, sent_before; /* at the beginning of the span that is running */
	float received, sent; /* for people to look at */
	uint32_t since_ms; /* that beginning, by the clock's lower half: no span is 49 days long */
};

/* What the store was last told of a peer, or has said of it at the start; kept by promises.c. */
struct peer_promise {
	uint64_t sequence; /* of the order; 0: there was none, it was on the disk before */
	uint64_t ms; /* when */
	uint32_t active_s; /* when the peer was last active by then, s since 1970 */
	struct ipv4 outer; /* of WireGuard: where the peer was then */
	uint16_t outer_port;
	bool is_made; /* else nothing is known of it there */
	uint32_t made_s; /* when the tunnel was made, s since 1970; 0: not known */
};

/* There are tens of thousands of them: the fields are in an order that leaves no hole. */
struct peer {
	struct plane_peer id; /* kind, inner address, and public key or outer address */
	struct ipv4 source; /* where it was last asked for from; 0.0.0.0: not known */
	struct peer_name *name; /* of who has last asked for it; NULL: none, or not known */

	uint64_t connected_ms; /* the last /connect; at adoption, the start */
	uint64_t active_ms; /* when its usage was last seen to have changed */
	uint64_t heard_ms; /* when a handshake of it, or a byte, was last seen to have come, or it
			      was made */
	union {
		uint64_t asked_ms; /* WireGuard: its last /connect; 0: none; kept by silence.c */
		uint64_t client; /* IPIP: who has asked for it, as peers_client() has it */
	};
	struct plane_usage usage; /* as last read from the plane */
	struct peer_rate rate;
	struct peer_promise promise;
	uint32_t last_reading; /* number of the last one that found it in the plane */
	uint16_t source_port; /* where it was last asked for from; 0: not known */
	bool is_new : 1; /* has asked, and not shaken hands since; see peers_set_new() */
	bool is_told : 1; /* the audit knows of it; kept by peer_events.c */
	bool is_unmade : 1; /* its tunnel could not be made, and may be there all the same */
	/* Its tunnel was promised, and the device was lost before it was made: it is made yet. */
	bool is_owed : 1; /* see peers_set_owed() */

	struct removal *removal; /* NULL: it is to stay */
	struct hash_node node;
};

struct peers {
	struct hash_table table;
	struct peer_sources sources;
	struct peer_names names;
	uint32_t n_wireguard, n_ipip; /* in the table, by kind */
	size_t n_new, n_owed; /* peers that are so: nobody has to look for them among all */
};

/* Returns 0 or what hash_init() returns. */
int peers_init(struct peers *peers);
/* Frees the table and every peer in it. */
void peers_free(struct peers *peers);

/* By public key (PEER_WIREGUARD) or by outer address (PEER_IPIP): the other fields of id do not
 * matter. */
struct peer *peers_find(const struct peers *peers, const struct plane_peer *id);

/* The identity must not be there yet. NULL if there is no memory. */
struct peer *peers_add(struct peers *peers, const struct plane_peer *id, uint64_t now_ms);
/* Somebody at this address has asked for the peer: from now on it counts as one of that source's. A
 * peer whose source is not known, or that there is no memory to count for, is nobody's. */
void peers_set_source(struct peers *peers, struct peer *peer, struct ipv4 source);
/* Likewise with this name, which may be none. Returns 0, or -ENOMEM and leaves the peer as it is.
 */
int peers_set_name(struct peers *peers, struct peer *peer, const struct client_name *name);
/* It is the peer's. */
const struct client_name *peers_name_of(const struct peer *peer);
/* An IPIP client's own id in fewer bytes, for the peers of this table alone: two clients can have
 * the same by chance, but not on purpose. 0: it has none. */
uint64_t peers_client(const struct peers *peers, const struct key *id);
/* A WireGuard peer has asked, and is waited for until it has shaken hands. */
void peers_set_new(struct peers *peers, struct peer *peer, bool is_new);
/* Its tunnel was promised, and is to be made yet. */
void peers_set_owed(struct peers *peers, struct peer *peer, bool is_owed);
/* Takes it out and frees it. */
void peers_remove(struct peers *peers, struct peer *peer);
size_t peers_count(const struct peers *peers);

/* Records what an adopted peer has used before: from here on it counts. */
void peer_adopt_usage(struct peer *peer, const struct plane_usage *usage);

/*
 * Records what the plane reports that a peer has used. WireGuard: a new handshake is a sign of
 * life; IPIP: a byte in either direction. Changes are compared, not times: the wall clock may be
 * set.
 */
void peers_record_usage(
	struct peers *peers, struct peer *peer, const struct plane_usage *usage, uint64_t now_ms);

struct idle_rule {
	uint64_t idle_timeout_ms;
	uint64_t connect_grace_ms; /* WireGuard only: time for a first handshake after a /connect */
};

/* Whether the peer's time was up at that moment, since which it may have been heard of:
 * docs/api.md, "Behaviour", idle peers. */
bool peer_is_idle(const struct peer *peer, const struct idle_rule *rule, uint64_t now_ms);

/* Its name in a log line: "WireGuard peer <key>" or "IPIP peer <address>". */
struct peer_text {
	char s[KEY_TEXT_SIZE + sizeof "WireGuard peer "];
};
struct peer_text peer_text(const struct plane_peer *id);
