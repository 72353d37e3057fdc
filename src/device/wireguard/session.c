/* When a peer's session begins and ends. Runs in the control thread. */
#include "device/wireguard/session.h"

#include <stdlib.h>
#include <string.h>

struct session *session_of(const struct wg_peer *peer)
{
	return atomic_load_explicit(&peer->session, memory_order_relaxed);
}

struct session *session_get(struct wireguard *wg, struct wg_peer *peer)
{
	struct session *session = session_of(peer);

	if (session)
		return session;
	if (deadlines_reserve(&wg->deadlines, wg->n_sessions + 1) != 0)
		return NULL;
	session = aligned_alloc(_Alignof(struct session), sizeof(*session));
	if (!session)
		return NULL;
	memset(session, 0, sizeof *session);
	session->peer = peer;
	session->timers.persistent_s = wg->up ? peer->persistent_s : 0;
	wg->n_sessions++;
	atomic_store_explicit(&peer->session, session, memory_order_release);
	return session;
}

static void free_pending(struct epoch_node *node)
{
	struct pending_handshake *pending = hash_entry(node, struct pending_handshake, retired);

	handshake_wipe(&pending->handshake);
	free(pending);
}

void session_drop_pending(struct wireguard *wg, struct session *session)
{
	struct pending_handshake *pending = session->pending;

	if (!pending)
		return;
	session->pending = NULL;
	index_remove(&wg->indices, &pending->entry);
	/* Its secrets go at once: workers read nothing but its index. */
	handshake_wipe(&pending->handshake);
	epoch_retire(wg->epoch, &pending->retired, free_pending);
}

static void free_session(struct epoch_node *node)
{
	struct session *session = hash_entry(node, struct session, retired);

	explicit_bzero(session, sizeof *session);
	free(session);
}

void session_end(struct wireguard *wg, struct wg_peer *peer)
{
	struct session *session = session_of(peer);

	if (!session)
		return;
	atomic_store_explicit(&peer->session, NULL, memory_order_release);
	deadlines_set(&wg->deadlines, &session->timers.deadline, DEADLINE_NEVER);
	session_drop_pending(wg, session);
	keypairs_clear(&session->keypairs, &wg->indices);
	wg->n_sessions--;
	epoch_retire(wg->epoch, &session->retired, free_session);
}

static bool in_use(const struct session *session)
{
	const struct timers *timers = &session->timers;

	return atomic_load_explicit(&session->keypairs.current, memory_order_relaxed) ||
	       session->keypairs.previous ||
	       atomic_load_explicit(&session->keypairs.next, memory_order_relaxed) ||
	       timers->retransmit_at || timers->persistent_s;
}

void session_settle(struct wireguard *wg, struct wg_peer *peer)
{
	struct session *session = session_of(peer);

	if (!session)
		return;
	if (in_use(session))
		deadlines_set(&wg->deadlines, &session->timers.deadline,
			timers_deadline(&session->timers, clock_now_ms(wg->clock)));
	else
		session_end(wg, peer);
}
