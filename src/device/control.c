/*
 * The control thread's side of WireGuard: what configures it, the requests of workers that wait in
 * the inbox, and the timers of all sessions. Runs in the control thread alone.
 */
#include "device/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/wireguard/handshake.h"
#include "device/wireguard/session.h"

enum {
	LIMITED_SOURCES = 16384, /* 512 KB, once there has been load */
	RECLAIM_INTERVAL_MS = 50, /* while something waits for the workers to let go of it */
};

int control_init(struct wireguard *wg, struct epoch *epoch, const struct wireguard_ops *ops,
	void *context, const struct clock *clock, uint64_t (*wall_ns)(void),
	noise_random_fn *random)
{
	static const struct key no_key;
	int error;

	memset(wg, 0, sizeof *wg);
	wg->epoch = epoch;
	wg->ops = ops;
	wg->context = context;
	wg->clock = clock;
	wg->wall_ns = wall_ns;
	error = noise_init(&wg->noise, random);
	if (!error)
		error = cookie_checker_init(&wg->checker, wg->noise.blake2s, &no_key, random);
	if (!error)
		error = hash_init(&wg->peers);
	if (!error)
		error = index_init(&wg->indices, epoch, random);
	mac1_filter_init(&wg->filter, &wg->indices, epoch);
	if (!error) {
		wg->limiter = ratelimiter_new(LIMITED_SOURCES);
		error = wg->limiter ? 0 : -ENOMEM;
	}
	if (error)
		control_free(wg);
	return error;
}

/* What an interface that comes up, or a new key, begins anew. */
static void restart_session(struct wireguard *wg, struct wg_peer *peer)
{
	session_end(wg, peer);
	if (wg->up && peer->persistent_s && session_get(wg, peer))
		handshake_keepalive(wg, peer);
	session_settle(wg, peer);
}

static void restart_sessions(struct wireguard *wg)
{
	hash_for_each (&wg->peers, node)
		restart_session(wg, hash_entry(node, struct wg_peer, node));
}

int control_set_private_key(struct wireguard *wg, const struct key *private_key)
{
	struct key before = wg->noise.public_key;
	int error = noise_set_private_key(&wg->noise, private_key);

	if (error || key_equal(&before, &wg->noise.public_key))
		return error;
	error = cookie_checker_init(
		&wg->checker, wg->noise.blake2s, &wg->noise.public_key, wg->noise.random);
	if (!error)
		error = mac1_filter_set_keys(&wg->filter, &wg->checker.keys);
	hash_for_each (&wg->peers, node)
		key_wipe(&hash_entry(node, struct wg_peer, node)->remote.static_static);
	restart_sessions(wg);
	return error;
}

void control_set_up(struct wireguard *wg, bool up)
{
	if (wg->up == up)
		return;
	wg->up = up;
	restart_sessions(wg);
}

/* A handshake that was under way has come to nothing, and what waits for it shall not be given up
 * for the time of the suspension. */
static void resume_session(struct wireguard *wg, struct session *session)
{
	struct wg_peer *peer = session->peer;

	if (!wg_peer_sending_key(peer, clock_now_ms(wg->clock)))
		keypairs_clear(&session->keypairs, &wg->indices);
	timers_end_handshake(&session->timers);
	handshake_begin(wg, peer);
	session_settle(wg, peer);
}

void control_resume(struct wireguard *wg)
{
	hash_for_each (&wg->peers, node) {
		struct session *session = session_of(hash_entry(node, struct wg_peer, node));

		if (session)
			resume_session(wg, session);
	}
}

int control_add_peer(struct wireguard *wg, struct wg_peer *peer, const struct key *public_key)
{
	if (wireguard_find_peer(wg, public_key))
		return -EEXIST;
	peer->wg = wg;
	peer->remote.public_key = *public_key;
	hash_insert(&wg->peers, &peer->node, public_key, KEY_SIZE);
	return 0;
}

static void wipe_preshared(struct wg_peer *peer)
{
	struct key *preshared = (struct key *)(uintptr_t)peer->remote.preshared;

	if (preshared)
		key_wipe(preshared);
	free(preshared);
	peer->remote.preshared = NULL;
}

static void release(struct wg_peer *peer)
{
	peer->wg->ops->release(peer->wg->context, peer);
}

/* No worker holds it any more, but it may still be in the inbox. */
static void release_unless_requested(struct epoch_node *node)
{
	struct wg_peer *peer = hash_entry(node, struct wg_peer, retired);

	if (atomic_load_explicit(&peer->requests, memory_order_acquire) == 0)
		release(peer);
	else
		peer->removed = true;
}

void control_remove_peer(struct wireguard *wg, struct wg_peer *peer)
{
	session_end(wg, peer);
	hash_remove(&wg->peers, &peer->node);
	wipe_preshared(peer);
	explicit_bzero(&peer->remote.static_static, KEY_SIZE);
	peer->leaving = true;
	epoch_retire(wg->epoch, &peer->retired, release_unless_requested);
}

int control_set_preshared(struct wg_peer *peer, const struct key *preshared)
{
	struct key *copy = NULL;

	if (preshared && !key_is_zero(preshared)) {
		copy = malloc(sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		*copy = *preshared;
	}
	wipe_preshared(peer);
	peer->remote.preshared = copy;
	return 0;
}

int control_set_persistent(struct wireguard *wg, struct wg_peer *peer, uint16_t seconds)
{
	bool begins = wg->up && seconds && !peer->persistent_s;
	struct session *session = begins ? session_get(wg, peer) : session_of(peer);

	if (begins && !session)
		return -ENOMEM;
	peer->persistent_s = seconds;
	if (session)
		session->timers.persistent_s = wg->up ? seconds : 0;
	if (begins)
		handshake_keepalive(wg, peer);
	session_settle(wg, peer);
	return 0;
}

/* A worker has found no key, or one that it is time to renew. Meanwhile there may be a new one:
 * then only what the worker has staged too late must go. */
static void serve_handshake(struct wireguard *wg, struct wg_peer *peer)
{
	const struct keypair *keypair = wg_peer_sending_key(peer, clock_now_ms(wg->clock));

	if (keypair)
		wg->ops->ready(wg->context, peer);
	if (!keypair || atomic_load_explicit(&keypair->rekey_asked, memory_order_relaxed))
		handshake_begin(wg, peer);
}

static void serve_requests(struct wireguard *wg, struct wg_peer *peer, uint32_t requests)
{
	if (requests & PEER_CONFIRM)
		handshake_confirm(wg, peer);
	if (requests & PEER_HANDSHAKE)
		serve_handshake(wg, peer);
	session_settle(wg, peer);
}

static void serve_inbox(struct wireguard *wg)
{
	struct wg_peer *next;

	for (struct wg_peer *peer = inbox_remove_all(&wg->inbox); peer; peer = next) {
		uint32_t requests;

		/* Once its requests are removed it may be added again. */
		next = atomic_load_explicit(&peer->inbox_next, memory_order_relaxed);
		requests = atomic_exchange_explicit(&peer->requests, 0, memory_order_acq_rel);
		if (peer->removed)
			release(peer);
		else if (!peer->leaving)
			serve_requests(wg, peer, requests);
	}
}

static void serve_session(struct wireguard *wg, struct session *session)
{
	struct wg_peer *peer = session->peer;
	unsigned int actions = timers_due(&session->timers, clock_now_ms(wg->clock));

	if (actions & TIMERS_GIVE_UP) {
		session_drop_pending(wg, session);
		wg->ops->gave_up(wg->context, peer);
	}
	if (actions & TIMERS_ZERO)
		keypairs_clear(&session->keypairs, &wg->indices);
	if (actions & TIMERS_FORGET_SOURCE)
		peer_address_forget_source(&peer->address);
	if (actions & TIMERS_HANDSHAKE)
		handshake_initiate(wg, peer);
	if (actions & TIMERS_KEEPALIVE)
		handshake_keepalive(wg, peer);
	session_settle(wg, peer);
}

static void serve_timers(struct wireguard *wg)
{
	struct deadline *deadline;
	uint64_t now = clock_now_ms(wg->clock);

	while ((deadline = deadlines_due(&wg->deadlines, now)))
		serve_session(wg, hash_entry(deadline, struct session, timers.deadline));
}

void control_run(struct wireguard *wg)
{
	serve_inbox(wg);
	serve_timers(wg);
	epoch_reclaim(wg->epoch);
	aead_forget(wg->noise.aead);
}

uint64_t control_deadline(const struct wireguard *wg)
{
	uint64_t at = deadlines_next(&wg->deadlines);
	uint64_t reclaim = clock_now_ms(wg->clock) + RECLAIM_INTERVAL_MS;

	return wg->epoch->n_retired > 0 && reclaim < at ? reclaim : at;
}

void control_free(struct wireguard *wg)
{
	/* No worker is left that could hold a removed peer, or add it to the inbox. */
	epoch_reclaim(wg->epoch);
	serve_inbox(wg);
	noise_free(&wg->noise);
	hash_free(&wg->peers);
	mac1_filter_free(&wg->filter);
	index_free(&wg->indices);
	ratelimiter_free(wg->limiter);
	deadlines_free(&wg->deadlines);
	explicit_bzero(wg, sizeof *wg);
}
