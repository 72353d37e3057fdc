/*
 * The queue of peers to be removed, worked off in batches. The one place where a peer that has had
 * a tunnel is freed. Runs in the broker, between other events.
 */
#include "server/removals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "server/endpoint.h"
#include "server/flow_purge.h"
#include "server/heal.h"
#include "server/peer_events.h"
#include "server/promises.h"
#include "server/usage.h"

enum {
	/* So that removals asked for at the same time share a batch. */
	GATHER_TIME_MS = 5,
	/* The kernel waits for an RCU grace period for every WireGuard peer (net/core/dev.c,
	 * netif_napi_del()), so more at once saves nothing, and keeps requests waiting: 17 ms a
	 * peer were measured in a guest. */
	WIREGUARD_BATCH = 8,
	/* Of what peers have used, for the audit, when they go. */
	USAGE_AGE_MS = 20,
};

const struct removal_reason removal_asked = {"it asked to go", REPORT_COUNTED_REMOVED_ASKED};
const struct removal_reason removal_idle = {"idle", REPORT_COUNTED_REMOVED_IDLE};
const struct removal_reason removal_vanished = {
	"its interface has vanished", REPORT_COUNTED_REMOVED_VANISHED};
const struct removal_reason removal_token_gone = {
	"its token is none any more", REPORT_COUNTED_REMOVED_TOKEN};
const struct removal_reason removal_token_expired = {
	"its token has expired", REPORT_COUNTED_REMOVED_TOKEN};
const struct removal_reason removal_ordered = {
	"the operator has disconnected it", REPORT_COUNTED_REMOVED_OPERATOR};
const struct removal_reason removal_unmade = {
	"its tunnel could not be made", REPORT_COUNTED_REMOVED_UNMADE};

struct waiter {
	struct waiter *next;
	struct reply_to reply_to;
};

struct removal {
	TAILQ_ENTRY(removal) entry;
	struct peer *peer;
	const struct removal_reason *reason;
	struct waiter *waiters;
};

static void schedule(struct removals *removals, unsigned int delay_ms)
{
	struct timeval delay = timeval_from_ms(delay_ms);

	if (removals->timer && !event_pending(removals->timer, EV_TIMEOUT, NULL))
		event_add(removals->timer, &delay);
}

static void work_off(struct removals *removals)
{
	if (removals_flush(removals))
		schedule(removals, 0);
}

/* One that is given up is in somebody else's hands just now. */
static void on_reading(void *context, int error)
{
	if (error == -ECANCELED)
		schedule(context, GATHER_TIME_MS);
	else
		work_off(context);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct removals *removals = context;
	struct endpoint *endpoint = removals->endpoint;

	(void)fd;
	(void)what;
	if (endpoint->audit && endpoint->device && usage_is_old(endpoint, USAGE_AGE_MS))
		usage_request(endpoint, &removals->waiter);
	else if (removals->waiter.asked == 0)
		work_off(removals);
}

int removals_init(struct removals *removals, struct endpoint *endpoint, struct event_base *base)
{
	*removals = (struct removals){
		.endpoint = endpoint, .waiter = {.done = on_reading, .context = removals}};
	TAILQ_INIT(&removals->queue);
	if (!base)
		return 0;
	removals->timer = evtimer_new(base, on_timer, removals);
	return removals->timer ? 0 : -ENOMEM;
}

static void free_waiters(struct waiter *waiters)
{
	while (waiters) {
		struct waiter *next = waiters->next;

		free(waiters);
		waiters = next;
	}
}

/* Who has waited for it is the caller's. */
static struct waiter *dequeue(struct removals *removals, struct removal *removal)
{
	struct waiter *waiters = removal->waiters;

	TAILQ_REMOVE(&removals->queue, removal, entry);
	removal->peer->removal = NULL;
	free(removal);
	return waiters;
}

void removals_free(struct removals *removals)
{
	struct removal *removal;

	if (removals->endpoint)
		usage_cancel(removals->endpoint, &removals->waiter);
	while ((removal = TAILQ_FIRST(&removals->queue)))
		free_waiters(dequeue(removals, removal));
	free_event(removals->timer);
	removals->timer = NULL;
}

static int enqueue(
	struct removals *removals, struct peer *peer, const struct removal_reason *reason)
{
	struct removal *removal = malloc(sizeof *removal);

	if (!removal)
		return -ENOMEM;
	*removal = (struct removal){.peer = peer, .reason = reason};
	peer->removal = removal;
	TAILQ_INSERT_TAIL(&removals->queue, removal, entry);
	return 0;
}

static int add_waiter(struct removal *removal, const struct reply_to *reply_to)
{
	struct waiter *waiter = malloc(sizeof *waiter);

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){removal->waiters, *reply_to};
	removal->waiters = waiter;
	return 0;
}

int removals_add(struct removals *removals, struct peer *peer, const struct removal_reason *reason,
	const struct reply_to *reply_to)
{
	int error = peer->removal ? 0 : enqueue(removals, peer, reason);

	if (error < 0)
		return error;
	schedule(removals, GATHER_TIME_MS);
	return reply_to ? add_waiter(peer->removal, reply_to) : 0;
}

static void answer_waiters(
	struct endpoint *endpoint, struct waiter *waiters, enum ipc_status status)
{
	for (const struct waiter *waiter = waiters; waiter; waiter = waiter->next)
		endpoint->answer(
			endpoint->answer_context, &waiter->reply_to, status, (struct ipv4){0});
	free_waiters(waiters);
}

void removals_cancel(struct removals *removals, struct peer *peer)
{
	if (peer->removal)
		answer_waiters(removals->endpoint, dequeue(removals, peer->removal), IPC_OK);
}

static void log_failure(struct endpoint *endpoint, const struct peer *peer,
	const struct removal_reason *reason, int error)
{
	struct log_limit_text more;

	if (endpoint_may_log(endpoint, peer->source, &more))
		log_error("%s: cannot remove %s at %s (%s): %s: %s%s", endpoint_text(endpoint).s,
			peer_text(&peer->id).s, ipv4_text(peer->id.inner).s, reason->text,
			strerror(-error), plane_error(endpoint->plane), more.s);
}

void removals_release(struct endpoint *endpoint, struct ipv4 inner)
{
	pool_release(endpoint->pool, inner);
	flow_purge_released(endpoint->flow_purge);
}

/* Who waits is answered when it is stored: else a server that dies would have made the peer again.
 */
static void forget(
	struct endpoint *endpoint, struct peer *peer, const char *reason, struct waiter *waiters)
{
	uint64_t sequence = promise_no_more(endpoint, peer);

	peer_events_removed(endpoint, peer, reason);
	for (const struct waiter *waiter = waiters; waiter; waiter = waiter->next)
		promise_answer(endpoint, &waiter->reply_to, (struct ipv4){0}, sequence);
	free_waiters(waiters);
	removals_release(endpoint, peer->id.inner);
	peers_remove(&endpoint->peers, peer);
}

void removals_forget(struct endpoint *endpoint, struct peer *peer, const char *reason)
{
	forget(endpoint, peer, reason, NULL);
}

static void finish(struct removals *removals, struct removal *removal, int error)
{
	struct endpoint *endpoint = removals->endpoint;
	struct peer *peer = removal->peer;
	const struct removal_reason *reason = removal->reason;
	struct waiter *waiters = dequeue(removals, removal);

	if (error < 0) {
		log_failure(endpoint, peer, reason, error);
		answer_waiters(endpoint, waiters, IPC_FAILED);
		return;
	}
	endpoint->counts[reason->count]++;
	forget(endpoint, peer, reason->text, waiters);
}

bool removals_flush(struct removals *removals)
{
	struct endpoint *endpoint = removals->endpoint;
	struct removal *removal, *batch[PLANE_REMOVAL_BATCH];
	struct plane_peer ids[PLANE_REMOVAL_BATCH];
	int errors[PLANE_REMOVAL_BATCH] = {0};
	size_t n = 0, n_wireguard = 0;
	uint64_t began_us;
	int error;

	TAILQ_FOREACH (removal, &removals->queue, entry) {
		n_wireguard += removal->peer->id.kind == PEER_WIREGUARD;
		if (n == PLANE_REMOVAL_BATCH || n_wireguard > WIREGUARD_BATCH)
			break;
		batch[n] = removal;
		ids[n++] = removal->peer->id;
	}
	if (n == 0)
		return false;
	/* A lost device does not take its IPIP tunnels along: without one, nobody knows that they
	 * are gone. */
	error = endpoint->device ? 0 : endpoint_heal(endpoint);
	began_us = clock_stopwatch_us();
	if (error == 0) {
		endpoint->plane->ops->remove(endpoint->device, ids, n, errors);
		endpoint_record_time(endpoint, REPORT_OF_REMOVE, began_us);
	}
	for (size_t i = 0; i < n; i++)
		finish(removals, batch[i], error < 0 ? error : errors[i]);
	return !TAILQ_EMPTY(&removals->queue);
}
