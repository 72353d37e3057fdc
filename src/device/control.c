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

int control_init(struct control *control, struct epoch *epoch, const struct control_ops *ops,
	void *context, const struct clock *clock, uint64_t (*wall_ns)(void),
	noise_random_fn *random)
{
	static const struct key no_key;
	int error;

	memset(control, 0, sizeof *control);
	control->epoch = epoch;
	control->ops = ops;
	control->context = context;
	control->clock = clock;
	control->wall_ns = wall_ns;
	error = noise_init(&control->noise, random);
	if (!error)
		error = cookie_checker_init(
			&control->checker, control->noise.blake2s, &no_key, random);
	if (!error)
		error = hash_init(&control->peers);
	if (!error)
		error = index_init(&control->indices, epoch, random);
	screen_init(&control->screen, &control->indices, epoch);
	if (!error) {
		control->limiter = ratelimiter_new(LIMITED_SOURCES);
		error = control->limiter ? 0 : -ENOMEM;
	}
	if (error)
		control_free(control);
	return error;
}

/* What an interface that comes up, or a new key, begins anew. */
static void restart_session(struct control *control, struct peer *peer)
{
	session_end(control, peer);
	if (control->up && peer->persistent_s && session_get(control, peer))
		exchange_keepalive(control, peer);
	session_settle(control, peer);
}

static void restart_sessions(struct control *control)
{
	hash_for_each (&control->peers, node)
		restart_session(control, hash_entry(node, struct peer, node));
}

int control_set_private_key(struct control *control, const struct key *private_key)
{
	struct key before = control->noise.public_key;
	int error = noise_set_private_key(&control->noise, private_key);

	if (error || key_equal(&before, &control->noise.public_key))
		return error;
	error = cookie_checker_init(&control->checker, control->noise.blake2s,
		&control->noise.public_key, control->noise.random);
	if (!error)
		error = screen_set_keys(&control->screen, &control->checker.keys);
	hash_for_each (&control->peers, node) {
		struct peer *peer = hash_entry(node, struct peer, node);

		if (!error)
			error = noise_remote_init(&control->noise, &peer->remote);
	}
	restart_sessions(control);
	return error;
}

void control_set_up(struct control *control, bool up)
{
	if (control->up == up)
		return;
	control->up = up;
	restart_sessions(control);
}

static bool has_key(const struct hash_node *node, const void *key)
{
	const struct peer *peer = hash_entry(node, struct peer, node);

	return key_equal(&peer->remote.public_key, key);
}

struct peer *control_find_peer(const struct control *control, const struct key *public_key)
{
	struct hash_node *node = hash_find(&control->peers, public_key, KEY_SIZE, has_key);

	return node ? hash_entry(node, struct peer, node) : NULL;
}

int control_add_peer(struct control *control, struct peer *peer, const struct key *public_key)
{
	int error;

	if (control_find_peer(control, public_key))
		return -EEXIST;
	peer->control = control;
	peer->remote.public_key = *public_key;
	error = noise_remote_init(&control->noise, &peer->remote);
	if (!error)
		hash_insert(&control->peers, &peer->node, public_key, KEY_SIZE);
	return error;
}

static void wipe_preshared(struct peer *peer)
{
	struct key *preshared = (struct key *)(uintptr_t)peer->remote.preshared;

	if (preshared)
		key_wipe(preshared);
	free(preshared);
	peer->remote.preshared = NULL;
}

static void release(struct peer *peer)
{
	peer->control->ops->release(peer->control->context, peer);
}

/* No worker holds it any more, but it may still be in the inbox. */
static void let_go(struct epoch_node *node)
{
	struct peer *peer = hash_entry(node, struct peer, retired);

	if (atomic_load_explicit(&peer->requests, memory_order_acquire) == 0)
		release(peer);
	else
		peer->removed = true;
}

void control_remove_peer(struct control *control, struct peer *peer)
{
	session_end(control, peer);
	hash_remove(&control->peers, &peer->node);
	wipe_preshared(peer);
	explicit_bzero(&peer->remote.static_static, KEY_SIZE);
	peer->leaving = true;
	epoch_retire(control->epoch, &peer->retired, let_go);
}

int control_set_preshared(struct peer *peer, const struct key *preshared)
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

int control_set_persistent(struct control *control, struct peer *peer, uint16_t seconds)
{
	bool begins = control->up && seconds && !peer->persistent_s;
	struct session *session = begins ? session_get(control, peer) : session_of(peer);

	if (begins && !session)
		return -ENOMEM;
	peer->persistent_s = seconds;
	if (session)
		session->timers.persistent_s = control->up ? seconds : 0;
	if (begins)
		exchange_keepalive(control, peer);
	session_settle(control, peer);
	return 0;
}

/* A worker has found no key, or one that it is time to renew. Meanwhile there may be a new one:
 * then only what the worker has put aside too late must go. */
static void serve_handshake(struct control *control, struct peer *peer)
{
	const struct keypair *keypair = peer_sending_key(peer, clock_now_ms(control->clock));

	if (keypair)
		control->ops->ready(control->context, peer);
	if (!keypair || atomic_load_explicit(&keypair->rekey_asked, memory_order_relaxed))
		exchange_begin(control, peer);
}

static void serve_requests(struct control *control, struct peer *peer, uint32_t requests)
{
	if (requests & PEER_CONFIRM)
		exchange_confirm(control, peer);
	if (requests & PEER_HANDSHAKE)
		serve_handshake(control, peer);
	session_settle(control, peer);
}

static void serve_inbox(struct control *control)
{
	struct peer *next;

	for (struct peer *peer = inbox_take(&control->inbox); peer; peer = next) {
		uint32_t requests;

		/* From the moment that its requests are taken it may be put in again. */
		next = atomic_load_explicit(&peer->inbox_next, memory_order_relaxed);
		requests = atomic_exchange_explicit(&peer->requests, 0, memory_order_acq_rel);
		if (peer->removed)
			release(peer);
		else if (!peer->leaving)
			serve_requests(control, peer, requests);
	}
}

static void serve_session(struct control *control, struct session *session)
{
	struct peer *peer = session->peer;
	unsigned int actions = timers_due(&session->timers, clock_now_ms(control->clock));

	if (actions & TIMERS_GIVE_UP) {
		session_drop_attempt(control, session);
		control->ops->gave_up(control->context, peer);
	}
	if (actions & TIMERS_ZERO)
		keypairs_clear(&session->keypairs, &control->indices);
	if (actions & TIMERS_HANDSHAKE)
		exchange_initiate(control, peer);
	if (actions & TIMERS_KEEPALIVE)
		exchange_keepalive(control, peer);
	session_settle(control, peer);
}

static void serve_timers(struct control *control)
{
	struct deadline *deadline;
	uint64_t now = clock_now_ms(control->clock);

	while ((deadline = deadlines_due(&control->deadlines, now)))
		serve_session(control, hash_entry(deadline, struct session, timers.deadline));
}

void control_run(struct control *control)
{
	serve_inbox(control);
	serve_timers(control);
	epoch_reclaim(control->epoch);
	aead_forget(control->noise.aead);
}

uint64_t control_deadline(const struct control *control)
{
	uint64_t at = deadlines_next(&control->deadlines);
	uint64_t reclaim = clock_now_ms(control->clock) + RECLAIM_INTERVAL_MS;

	return control->epoch->n_retired > 0 && reclaim < at ? reclaim : at;
}

void control_free(struct control *control)
{
	/* No worker is left that could hold a removed peer, or put it in the inbox. */
	epoch_reclaim(control->epoch);
	serve_inbox(control);
	noise_free(&control->noise);
	hash_free(&control->peers);
	screen_free(&control->screen);
	index_free(&control->indices);
	ratelimiter_free(control->limiter);
	deadlines_free(&control->deadlines);
	explicit_bzero(control, sizeof *control);
}
