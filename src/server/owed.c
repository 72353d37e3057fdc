/* Makes the peers that are owed, a batch at a time. Runs in the broker's event loop. */
#include "server/owed.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/array.h"
#include "base/event.h"
#include "base/log.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/give_back.h"
#include "server/heal.h"
#include "server/peer_walk.h"
#include "server/promised.h"
#include "server/promises.h"
#include "server/removals.h"

enum {
	/* The kernel's plane takes 2 ms for each: who asks the server of something waits for no
	 * more than these. */
	MADE_AT_ONCE = 10,
	SLICE_MS = 10, /* as many batches as this takes, where they are quick */
	RETRY_MS = 5000, /* of a device that is lost */
};

/* Which */

struct owed_peer {
	struct plane_peer id;
	uint64_t active_s;
};

/* Where another host gives the addresses it may give one that was freed, and its connections are
 * that host's. */
static int claim(const struct endpoint *endpoint, struct ipv4 inner)
{
	int error = pool_claim(endpoint->pool, inner);

	return error == -EEXIST && endpoint->config.is_standby
		       ? pool_claim_freed(endpoint->pool, inner)
		       : error;
}

bool owed_add(struct endpoint *endpoint, const struct stored_peer *stored)
{
	const struct plane_peer id = promised_identity(stored);
	struct peer *peer = NULL;

	/* Held by another that is there, or of a block that is none now. */
	if (claim(endpoint, stored->inner) < 0)
		return false;
	if (destinations_confine(endpoint, &stored->name, stored->inner) == 0)
		peer = peers_add(&endpoint->peers, &id, clock_now_ms(endpoint->clock));
	if (!peer) {
		pool_release(endpoint->pool, stored->inner);
		return false;
	}
	peers_set_owed(&endpoint->peers, peer, true);
	promise_is_known(endpoint, peer, stored);
	return true;
}

/* One that is to go is not made first; and must not be forgotten while it is queued. */
static bool is_to_be_made(const struct peer *peer)
{
	return peer->is_owed && !peer->removal;
}

static void forget(struct owed *owed)
{
	free(owed->peers);
	owed->peers = NULL;
	owed->n = 0;
	owed->at = (struct hash_walk){0};
}

/* A heap: who was active last is the first, each is before those at twice its place. To sort 50,000
 * would take as long as requests must not wait. */
static bool is_before(const struct owed *owed, size_t a, size_t b)
{
	return owed->peers[a].active_s > owed->peers[b].active_s;
}

static void swap(struct owed *owed, size_t a, size_t b)
{
	const struct owed_peer peer = owed->peers[a];

	owed->peers[a] = owed->peers[b];
	owed->peers[b] = peer;
}

static int put(struct owed *owed, const struct owed_peer *peer)
{
	struct owed_peer *peers = array_grow(owed->peers, owed->n, sizeof *peers);

	if (!peers)
		return -ENOMEM;
	owed->peers = peers;
	peers[owed->n++] = *peer;
	for (size_t i = owed->n - 1; i > 0 && is_before(owed, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(owed, i, (i - 1) / 2);
	return 0;
}

/* There must be one. */
static struct owed_peer take_first(struct owed *owed)
{
	const struct owed_peer first = owed->peers[0];
	size_t i = 0, next;

	owed->peers[0] = owed->peers[--owed->n];
	while ((next = 2 * i + 1) < owed->n) {
		if (next + 1 < owed->n && is_before(owed, next + 1, next))
			next++;
		if (!is_before(owed, next, i))
			break;
		swap(owed, i, next);
		i = next;
	}
	return first;
}

/* They are looked for once, and not for each batch; a bucket of the table. */
static int gather_some(struct owed *owed)
{
	const struct peers *peers = &owed->round.endpoint->peers;
	int error = 0;

	if (peers->n_owed == 0) {
		owed->at.is_over = true;
		return 0;
	}
	for (const struct hash_node *node = hash_walk_next(&peers->table, &owed->at);
		node && error == 0; node = node->next) {
		const struct peer *peer = hash_entry(node, const struct peer, node);

		if (is_to_be_made(peer))
			error = put(owed, &(struct owed_peer){peer->id, peer->promise.active_s});
	}
	return error;
}

/* Some may have been made for a request, or have gone, since they were gathered. */
static size_t take_batch(struct owed *owed, struct owed_peer batch[MADE_AT_ONCE])
{
	size_t n = 0;

	while (owed->n > 0 && n < MADE_AT_ONCE) {
		const struct owed_peer first = take_first(owed);
		const struct peer *peer = peers_find(&owed->round.endpoint->peers, &first.id);

		if (peer && is_to_be_made(peer) && ipv4_equal(peer->id.inner, first.id.inner))
			batch[n++] = first;
	}
	return n;
}

/* Making */

/* A device that is lost may have made it all the same: then it keeps its address, and is owed. */
static void give_up(void *context, const struct plane_peer *id, int error)
{
	struct owed_round *round = context;
	struct endpoint *endpoint = round->endpoint;
	struct peer *peer = peers_find(&endpoint->peers, id);

	if (device_is_lost(error))
		return;
	log_error("%s: cannot make the tunnel of %s %s: %s", endpoint_text(endpoint).s,
		peer_text(id).s, endpoint->config.is_standby ? "ready" : "again",
		plane_error(endpoint->plane));
	round->n_failed++;
	if (!peer)
		return;
	if (!endpoint->config.is_standby) {
		removals_forget(endpoint, peer, removal_unmade.text);
		return;
	}
	pool_release(endpoint->pool, peer->id.inner);
	peers_remove(&endpoint->peers, peer);
}

static int settle(struct endpoint *endpoint, const struct plane_peer *ids, size_t n)
{
	const struct peer *made[PLANE_ADD_BATCH];
	size_t n_made = 0;

	for (size_t i = 0; i < n; i++) {
		struct peer *peer = peers_find(&endpoint->peers, &ids[i]);

		/* It may just have been given up. */
		if (!peer)
			continue;
		peers_set_owed(&endpoint->peers, peer, false);
		peer->last_reading = endpoint->reading;
		made[n_made++] = peer;
	}
	/* A standby is silent. Others' clients would not notice for a while that there is a new
	 * session to be had. */
	return endpoint->config.is_standby ? 0 : give_back_sessions(endpoint, made, n_made);
}

/* PLANE_ADD_BATCH at the most. Returns 0, or an error of device_is_lost(): then those that it was
 * not given stay owed. */
static int make(struct owed_round *round, const struct plane_peer *ids, size_t n)
{
	int error = give_back_peers(round->endpoint, ids, n, &round->n_given, give_up, round);

	return error < 0 ? error : settle(round->endpoint, ids, n);
}

static void say_lost(const struct endpoint *endpoint)
{
	log_error("%s: it was lost when what was promised was made again, will try again: %s",
		endpoint_text(endpoint).s, plane_error(endpoint->plane));
}

static void say_made(const struct owed_round *round)
{
	struct endpoint *endpoint = round->endpoint;

	endpoint->counts[REPORT_COUNTED_RESTORED] += round->n_given;
	log_info("%s: %zu peers that were not there any more have their tunnels again, %zu could "
		 "not have theirs",
		endpoint_text(endpoint).s, round->n_given, round->n_failed);
}

/* At once */

void owed_make_now(struct owed_round *round, const struct plane_peer *ids, size_t n)
{
	int error = round->endpoint->device ? 0 : -ENODEV;

	for (size_t done = 0; done < n && error == 0; done += PLANE_ADD_BATCH) {
		const size_t left = n - done;

		error = make(round, ids + done, left < PLANE_ADD_BATCH ? left : PLANE_ADD_BATCH);
	}
	if (error < 0)
		say_lost(round->endpoint);
	if (n > 0 || round->n_failed > 0)
		say_made(round);
}

/* Beside requests */

/* One that is lost, and not made again yet, is made again at the next inspection; there is none of
 * a standby. */
static int find_device(struct endpoint *endpoint)
{
	size_t n_back;

	if (endpoint->device)
		return 0;
	return endpoint->config.is_standby ? endpoint_make_device(endpoint, &n_back) : -ENODEV;
}

/* Returns how many were tried, 0 at the end, or -errno. */
static int make_batch(struct owed *owed)
{
	struct endpoint *endpoint = owed->round.endpoint;
	struct owed_peer batch[MADE_AT_ONCE];
	struct plane_peer ids[MADE_AT_ONCE];
	const size_t n = take_batch(owed, batch);
	int error = n == 0 ? 0 : find_device(endpoint);

	for (size_t i = 0; i < n; i++)
		ids[i] = batch[i].id;
	if (error == 0 && n > 0)
		error = make(&owed->round, ids, n);
	if (error == 0)
		return (int)n;
	/* These are not done; they have had room before. */
	for (size_t i = 0; i < n; i++)
		put(owed, &batch[i]);
	return error;
}

/* Returns as make_batch(). */
static int go_on(struct owed *owed)
{
	if (owed->at.is_over)
		return make_batch(owed);
	/* Without memory the next inspection, or the next change, tries it again. */
	return gather_some(owed) == 0;
}

static void say_end(const struct owed *owed)
{
	struct endpoint *endpoint = owed->round.endpoint;

	if (endpoint->config.is_standby) {
		log_info("%s: %zu peers are ready, for when this host gets the address",
			endpoint_text(endpoint).s, peers_count(&endpoint->peers));
		return;
	}
	if (owed->round.n_given > 0 || owed->round.n_failed > 0)
		say_made(&owed->round);
}

static void schedule(struct owed *owed, uint64_t delay_ms)
{
	const struct timeval delay = timeval_from_ms(delay_ms);

	event_add(owed->timer, &delay);
}

static void stop(struct owed *owed, int error)
{
	struct endpoint *endpoint = owed->round.endpoint;

	if (error < 0 && !endpoint->config.is_standby)
		say_lost(endpoint);
	/* One that has not answered in time is there, and may do so. */
	if (owed->timer && (error == -ETIMEDOUT || (error < 0 && endpoint->config.is_standby))) {
		schedule(owed, RETRY_MS);
		return;
	}
	say_end(owed);
	forget(owed);
	owed->round.n_given = owed->round.n_failed = 0;
}

static bool is_open(const struct endpoint *endpoint)
{
	return endpoint->state == ENDPOINT_OPEN || endpoint->state == ENDPOINT_STANDBY;
}

static void make_some(struct owed *owed)
{
	const uint64_t slice_ms = owed->at.is_over ? SLICE_MS : PEER_WALK_SLICE_MS,
		       end_ms = clock_now_ms(&system_clock) + slice_ms;
	int n;

	do
		n = go_on(owed);
	while (n > 0 && (!owed->timer || clock_now_ms(&system_clock) < end_ms));
	if (n > 0)
		schedule(owed, 0);
	else
		stop(owed, n);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct owed *owed = context;

	(void)fd;
	(void)what;
	if (is_open(owed->round.endpoint))
		make_some(owed);
	else
		forget(owed);
}

int owed_init(struct owed *owed, struct endpoint *endpoint, struct event_base *base)
{
	*owed = (struct owed){.round.endpoint = endpoint};
	if (!base)
		return 0;
	owed->timer = evtimer_new(base, on_timer, owed);
	return owed->timer ? 0 : -ENOMEM;
}

void owed_free(struct owed *owed)
{
	free_event(owed->timer);
	forget(owed);
	*owed = (struct owed){0};
}

void owed_make(struct endpoint *endpoint)
{
	struct owed *owed = &endpoint->owed;

	forget(owed);
	if (endpoint->peers.n_owed == 0 && !endpoint->config.is_standby)
		return;
	if (owed->timer)
		schedule(owed, 0);
	else
		make_some(owed);
}
