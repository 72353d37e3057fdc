/* Visits the peers of an endpoint, a slice at a time. Runs in the broker, by a timer between other
 * events. */
#include "server/peer_walk.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "server/endpoint.h"

static void visit_bucket(struct peer_walk *walk)
{
	struct hash_node *next, *node = hash_walk_next(&walk->endpoint->peers.table, &walk->at);

	for (; node; node = next) {
		next = node->next;
		walk->visit(walk->context, hash_entry(node, struct peer, node));
	}
}

static void take_out(struct peer_walk *walk)
{
	if (walk->endpoint)
		LIST_REMOVE(walk, entry);
	walk->endpoint = NULL;
}

static void finish(struct peer_walk *walk)
{
	if (walk->timer)
		event_del(walk->timer);
	take_out(walk);
	walk->done(walk->context);
}

static void go_on(struct peer_walk *walk)
{
	static const struct timeval at_once;
	const uint64_t end_ms = clock_now_ms(&system_clock) + PEER_WALK_SLICE_MS;

	while (!walk->at.is_over) {
		visit_bucket(walk);
		if (walk->timer && clock_now_ms(&system_clock) >= end_ms) {
			event_add(walk->timer, &at_once);
			return;
		}
	}
	finish(walk);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	go_on(context);
}

int peer_walk_init(struct peer_walk *walk, struct event_base *base, peer_visit_fn *visit,
	peer_walk_done_fn *done, void *context)
{
	*walk = (struct peer_walk){.visit = visit, .done = done, .context = context};
	if (!base)
		return 0;
	walk->timer = evtimer_new(base, on_timer, walk);
	return walk->timer ? 0 : -ENOMEM;
}

void peer_walk_cancel(struct peer_walk *walk)
{
	if (walk->timer)
		event_del(walk->timer);
	take_out(walk);
}

void peer_walk_free(struct peer_walk *walk)
{
	take_out(walk);
	free_event(walk->timer);
	*walk = (struct peer_walk){0};
}

void peer_walk_begin(struct peer_walk *walk, struct endpoint *endpoint)
{
	walk->endpoint = endpoint;
	walk->at = (struct hash_walk){0};
	LIST_INSERT_HEAD(&endpoint->walks, walk, entry);
	go_on(walk);
}

void peer_walk_end_all(struct endpoint *endpoint)
{
	struct peer_walk *walk;

	while ((walk = LIST_FIRST(&endpoint->walks)))
		finish(walk);
}

bool peer_walk_runs(const struct peer_walk *walk)
{
	return walk->endpoint != NULL;
}
