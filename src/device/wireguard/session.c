#include "device/wireguard/session.h"

#include <stdlib.h>
#include <string.h>

struct session *session_of(const struct peer *peer)
{
	return atomic_load_explicit(&peer->session, memory_order_relaxed);
}

struct session *session_get(struct control *control, struct peer *peer)
{
	struct session *session = session_of(peer);

	if (session)
		return session;
	if (deadlines_reserve(&control->deadlines, control->n_sessions + 1) != 0)
		return NULL;
	session = aligned_alloc(_Alignof(struct session), sizeof(*session));
	if (!session)
		return NULL;
	memset(session, 0, sizeof *session);
	session->peer = peer;
	session->timers.persistent_s = control->up ? peer->persistent_s : 0;
	control->n_sessions++;
	atomic_store_explicit(&peer->session, session, memory_order_release);
	return session;
}

static void free_attempt(struct epoch_node *node)
{
	struct attempt *attempt = hash_entry(node, struct attempt, retired);

	handshake_wipe(&attempt->handshake);
	free(attempt);
}

void session_drop_attempt(struct control *control, struct session *session)
{
	struct attempt *attempt = session->attempt;

	if (!attempt)
		return;
	session->attempt = NULL;
	index_remove(&control->indices, &attempt->entry);
	/* Its secrets go at once: workers only ever look at its index. */
	handshake_wipe(&attempt->handshake);
	epoch_retire(control->epoch, &attempt->retired, free_attempt);
}

static void free_session(struct epoch_node *node)
{
	struct session *session = hash_entry(node, struct session, retired);

	explicit_bzero(session, sizeof *session);
	free(session);
}

void session_end(struct control *control, struct peer *peer)
{
	struct session *session = session_of(peer);

	if (!session)
		return;
	atomic_store_explicit(&peer->session, NULL, memory_order_release);
	deadlines_set(&control->deadlines, &session->timers.deadline, DEADLINE_NEVER);
	session_drop_attempt(control, session);
	keypairs_clear(&session->keypairs, &control->indices);
	control->n_sessions--;
	epoch_retire(control->epoch, &session->retired, free_session);
}

static bool in_use(const struct session *session)
{
	const struct timers *timers = &session->timers;

	return atomic_load_explicit(&session->keypairs.current, memory_order_relaxed) ||
	       session->keypairs.previous || session->keypairs.next || timers->retransmit_at ||
	       timers->persistent_s;
}

void session_settle(struct control *control, struct peer *peer)
{
	struct session *session = session_of(peer);

	if (!session)
		return;
	if (in_use(session))
		deadlines_set(&control->deadlines, &session->timers.deadline,
			timers_deadline(&session->timers, clock_now_ms(control->clock)));
	else
		session_end(control, peer);
}
