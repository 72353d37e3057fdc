/*
 * What workers do with a peer: find its key, record traffic, ask the control thread for something.
 * Runs in every worker, and in the control thread.
 */
#include "device/wireguard/peer.h"

bool wg_peer_request(struct inbox *inbox, struct wg_peer *peer, uint32_t requests)
{
	struct wg_peer *first;

	/* Who finds no request yet adds the peer. What was written before is seen by who removes
	 * the request. */
	if (atomic_fetch_or_explicit(&peer->requests, requests, memory_order_acq_rel) != 0)
		return false;
	first = atomic_load_explicit(&inbox->first, memory_order_relaxed);
	do {
		atomic_store_explicit(&peer->inbox_next, first, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
		&inbox->first, &first, peer, memory_order_release, memory_order_relaxed));
	return first == NULL;
}

struct wg_peer *inbox_remove_all(struct inbox *inbox)
{
	return atomic_exchange_explicit(&inbox->first, NULL, memory_order_acquire);
}

static struct session *session_for_worker(const struct wg_peer *peer)
{
	return atomic_load_explicit(&peer->session, memory_order_acquire);
}

struct keypair *wg_peer_sending_key(const struct wg_peer *peer, uint64_t now_ms)
{
	const struct session *session = session_for_worker(peer);
	struct keypair *keypair = session ? keypairs_for_sending(&session->keypairs) : NULL;

	return keypair && keypair_alive(keypair, now_ms) ? keypair : NULL;
}

uint32_t wg_peer_record_sent(const struct wg_peer *peer, bool data, uint64_t now_ms)
{
	struct session *session = session_for_worker(peer);

	return session && timers_record_sent(&session->timers, data, now_ms) ? PEER_WATCH : 0;
}

uint32_t wg_peer_record_received(const struct wg_peer *peer, bool data, uint64_t now_ms)
{
	struct session *session = session_for_worker(peer);

	return session && timers_record_received(&session->timers, data, now_ms) ? PEER_WATCH : 0;
}
