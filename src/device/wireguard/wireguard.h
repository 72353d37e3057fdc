/*
 * The control thread's state of WireGuard: our key, the peers, their sessions, and what it asks of
 * those who have sockets. The functions that work on it are in handshake.h, session.h and, on top,
 * control.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/epoch.h"
#include "base/hash.h"
#include "base/key.h"
#include "device/io/udp_endpoint.h"
#include "device/wireguard/cookie.h"
#include "device/wireguard/deadlines.h"
#include "device/wireguard/index.h"
#include "device/wireguard/mac1_filter.h"
#include "device/wireguard/noise.h"
#include "device/wireguard/peer.h"
#include "device/wireguard/ratelimiter.h"
#include "device/wireguard/timestamps.h"

/* None of these may call back into WireGuard. */
struct wireguard_ops {
	/* Sends a datagram to where the peer is. A peer without an endpoint: nothing happens. */
	void (*send)(void *context, struct wg_peer *peer, const void *datagram, size_t length);
	/* Answers to where something came from: a cookie reply. */
	void (*answer)(
		void *context, const struct udp_endpoint *to, const void *datagram, size_t length);
	/* There is a key for sending: what waited for one can go. Returns true if anything did, so
	 * that no keepalive is needed to confirm the session. */
	bool (*ready)(void *context, struct wg_peer *peer);
	/* No answer for REKEY_ATTEMPT_TIME: drop what waits. */
	void (*gave_up)(void *context, struct wg_peer *peer);
	/* No worker holds it any more: free what the peer lies in. */
	void (*release)(void *context, struct wg_peer *peer);
};

/* Handshake messages dropped, and why. */
struct wireguard_drops {
	uint64_t malformed; /* not a message, or for an index that is not ours */
	uint64_t forged; /* a tag or a cookie that is not right */
	uint64_t unknown; /* authentic, but of nobody who is a peer */
	uint64_t replayed; /* an initiation no later than the last */
	uint64_t limited; /* too many of a peer, or under load of a source */
	uint64_t cookies; /* under load: answered with a cookie */
};

struct wireguard {
	struct noise noise;
	struct cookie_checker checker;
	struct mac1_filter filter; /* workers ask it */
	struct ratelimiter *limiter;
	struct hash_table peers; /* by public key */
	struct index_table indices;
	struct deadlines deadlines; /* of the sessions */
	uint32_t n_sessions;
	struct inbox inbox;
	struct epoch *epoch;
	bool up; /* false, as at first: nothing is sent, and handshakes are not answered */

	const struct wireguard_ops *ops;
	void *context;
	const struct clock *clock;
	uint64_t (*wall_ns)(void); /* ns since 1970 */
	struct timestamps timestamps;

	struct wireguard_drops dropped;
};

/* NULL: there is no such peer. */
struct wg_peer *wireguard_find_peer(const struct wireguard *wg, const struct key *public_key);
