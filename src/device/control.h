/*
 * The control thread's side of WireGuard: it takes handshake messages and the workers' requests,
 * keeps the timers, and says through callbacks what to send. It knows no sockets and does not
 * block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/hash.h"
#include "device/wireguard/cookie.h"
#include "device/io/udp_endpoint.h"
#include "device/wireguard/index.h"
#include "device/wireguard/peer.h"
#include "device/wireguard/ratelimiter.h"
#include "device/wireguard/mac1_filter.h"

/* None of these may call back into the control. */
struct control_ops {
	/* Sends a datagram to where the peer is. A peer without an endpoint: nothing happens. */
	void (*send)(void *context, struct peer *peer, const void *datagram, size_t length);
	/* Answers to where something came from: a cookie reply. */
	void (*answer)(
		void *context, const struct endpoint *to, const void *datagram, size_t length);
	/* A handshake message of the peer was authentic: it is now at this endpoint (2.1). */
	void (*moved)(void *context, struct peer *peer, const struct endpoint *source);
	/* There is a key for sending: what waited for one can go. Returns true if anything did, so
	 * that no keepalive is needed to confirm the session. */
	bool (*ready)(void *context, struct peer *peer);
	/* No answer for REKEY_ATTEMPT_TIME: drop what waits. */
	void (*gave_up)(void *context, struct peer *peer);
	/* No worker holds it any more: free what the peer lies in. */
	void (*release)(void *context, struct peer *peer);
};

/* Handshake messages dropped, and why. */
struct control_drops {
	uint64_t malformed; /* not a message, or for an index that is not ours */
	uint64_t forged; /* a tag or a cookie that is not right */
	uint64_t unknown; /* authentic, but of nobody who is a peer */
	uint64_t replayed; /* an initiation no later than the last */
	uint64_t limited; /* too many of a peer, or under load of a source */
	uint64_t cookies; /* under load: answered with a cookie */
};

struct control {
	struct noise noise;
	struct cookie_checker checker;
	struct screen screen; /* workers ask it */
	struct ratelimiter *limiter;
	struct hash_table peers; /* by public key */
	struct index_table indices;
	struct deadlines deadlines; /* of the sessions */
	uint32_t n_sessions;
	struct inbox inbox;
	struct epoch *epoch;
	bool up; /* false, as at first: nothing is sent, and handshakes are not answered */

	const struct control_ops *ops;
	void *context;
	const struct clock *clock;
	uint64_t (*wall_ns)(void); /* ns since 1970, for TAI64N */

	struct control_drops dropped;
};

/* Replace clock, wall_ns and random for tests. Returns 0, -ENOMEM or -EIO. */
int control_init(struct control *control, struct epoch *epoch, const struct control_ops *ops,
	void *context, const struct clock *clock, uint64_t (*wall_ns)(void),
	noise_random_fn *random);
/* All peers have been removed, and all readers of the epoch are offline for good: those that were
 * not yet released are now. The epoch must still be there. */
void control_free(struct control *control);

/* A zero key means none. Unless it is the one there is, it ends all sessions. Handshakes of a peer
 * with our own public key are ignored. Returns 0, -ENOMEM or -EIO. */
int control_set_private_key(struct control *control, const struct key *private_key);

/* Down: sessions end, timers stop. Up: persistent keepalives begin. */
void control_set_up(struct control *control, bool up);

/* The peer is all zeros, and what it lies in is the caller's. Returns 0, -EEXIST or -EIO. */
int control_add_peer(struct control *control, struct peer *peer, const struct key *public_key);
/* Ends its session; once no worker can hold it, ops->release frees it. Nobody must be able to find
 * it any more: take it out of the allowed IPs before. */
void control_remove_peer(struct control *control, struct peer *peer);
struct peer *control_find_peer(const struct control *control, const struct key *public_key);

/* NULL or all zeros: none. For the next handshake. Returns 0 or -ENOMEM. */
int control_set_preshared(struct peer *peer, const struct key *preshared);
/* 0: off. Switched on, one is sent at once. Returns 0 or -ENOMEM. */
int control_set_persistent(struct control *control, struct peer *peer, uint16_t seconds);

/*
 * A handshake message (initiation, response, cookie reply) from a socket, which the screen has let
 * through. under_load: as load.h says.
 */
void control_receive(struct control *control, const uint8_t *datagram, size_t length,
	const struct endpoint *source, bool under_load);

/* Deals with the inbox and with the timers that are due, and frees what the epoch lets go. Call it
 * when woken and when control_deadline() has come. */
void control_run(struct control *control);

/* When to call control_run() next, in ms of the clock; UINT64_MAX: when woken. */
uint64_t control_deadline(const struct control *control);
