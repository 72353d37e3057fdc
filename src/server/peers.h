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

/* A request that waits for a peer's removal, and why it goes; kept by removals.c. */
struct waiter;
struct removal_reason;

/* Bytes per second, over the last span of RATE_SPAN_MS or more between two readings. */
struct peer_rate {
	uint64_t received, sent;
	uint64_t since_ms; /* the beginning of the span that is running, ... */
	uint64_t received_before, sent_before; /* ... and the counters then */
};

/* What the store was last told of a peer, or has said of it at the start; kept by promises.c. */
struct peer_promise {
	bool is_made; /* else nothing is known of it there */
	uint64_t sequence; /* of the order; 0: there was none, it was on the disk before */
	uint64_t ms; /* when */
	uint64_t active_s; /* when the peer was last active by then, s since 1970 */
	struct ipv4 outer; /* of WireGuard: where the peer was then */
	uint16_t outer_port;
};

/* Of a WireGuard peer, for silence.c. */
struct peer_silence {
	uint64_t heard_ms; /* when a handshake of it, or a byte, was last seen to have come, or it
			      was made; kept here */
	uint64_t asked_ms; /* its last /connect; 0: none */
};

struct peer {
	struct plane_peer id; /* kind, inner address, and public key or outer address */
	struct key client; /* IPIP: who has asked for it, by its own id; zero: not known */
	struct peer_name *name; /* of who has last asked for it; NULL: none, or not known */
	struct ipv4 source; /* where it was last asked for from; 0.0.0.0: not known */
	uint16_t source_port; /* and by which port; 0: not known */

	uint64_t connected_ms; /* the last /connect; at adoption, the start */
	uint64_t active_ms; /* when its usage was last seen to have changed */
	struct plane_usage usage; /* as last read from the plane */
	struct peer_rate rate;
	uint64_t made_s; /* when its tunnel was made, s since 1970; 0: not known */
	struct peer_promise promise;
	struct peer_silence silence;
	bool is_new; /* has asked, and not shaken hands since; see peers_set_new() */
	bool is_told; /* the audit knows of it; kept by peer_events.c */
	bool is_unmade; /* its tunnel could not be made, and may be there all the same */
	/* Its tunnel was promised, and the device was lost before it was made: it is made yet. */
	bool is_owed; /* see peers_set_owed() */
	uint64_t last_reading; /* number of the last one that found it in the plane */

	/* Waiting to be removed; kept by removals.c. */
	const struct removal_reason *removal_reason; /* NULL: not queued */
	TAILQ_ENTRY(peer) queue_entry;
	struct waiter *waiters;

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
