/* Visits the peers of all endpoints, a slice at a time. Runs in the broker, by timers between other
 * events. */
#include "server/all_peers.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/event.h"
#include "server/peer_walk.h"

static void visit(void *context, struct peer *peer)
{
	struct all_peers *all = context;

	all->visit(all->context, all->walk.endpoint, peer);
}

/* The next endpoint has a turn of its own: of many that are small, a turn is not to have all. */
static void go_on_later(void *context)
{
	static const struct timeval at_once;
	const struct all_peers *all = context;

	event_add(all->timer, &at_once);
}

static struct endpoint *find(const struct endpoint_list *endpoints, struct ipv4 bind)
{
	struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, endpoints, entry)
		if (ipv4_equal(endpoint->config.bind, bind))
			return endpoint;
	return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct all_peers *all = context;
	struct endpoint *endpoint = NULL;

	(void)fd;
	(void)what;
	while (all->next < all->n && (!endpoint || endpoint->state == ENDPOINT_DESCRIBED))
		endpoint = find(all->endpoints, all->binds[all->next++]);
	if (endpoint && endpoint->state != ENDPOINT_DESCRIBED) {
		peer_walk_begin(&all->walk, endpoint);
		return;
	}
	all_peers_cancel(all);
	all->done(all->context);
}

int all_peers_init(struct all_peers *all, struct event_base *base,
	const struct endpoint_list *endpoints, all_peers_visit_fn *visit_one,
	peer_walk_done_fn *done, void *context)
{
	*all = (struct all_peers){
		.endpoints = endpoints, .visit = visit_one, .done = done, .context = context};
	all->timer = evtimer_new(base, on_timer, all);
	return all->timer ? peer_walk_init(&all->walk, base, visit, go_on_later, all) : -ENOMEM;
}

void all_peers_cancel(struct all_peers *all)
{
	if (!all->binds)
		return;
	event_del(all->timer);
	peer_walk_cancel(&all->walk);
	free(all->binds);
	all->binds = NULL;
}

void all_peers_free(struct all_peers *all)
{
	all_peers_cancel(all);
	peer_walk_free(&all->walk);
	free_event(all->timer);
	*all = (struct all_peers){0};
}

int all_peers_begin(struct all_peers *all)
{
	const struct endpoint *endpoint;

	all_peers_cancel(all);
	all->n = all->next = 0;
	TAILQ_FOREACH (endpoint, all->endpoints, entry)
		all->n++;
	all->binds = calloc(all->n + 1, sizeof *all->binds);
	if (!all->binds)
		return -ENOMEM;
	all->n = 0;
	TAILQ_FOREACH (endpoint, all->endpoints, entry)
		all->binds[all->n++] = endpoint->config.bind;
	go_on_later(all);
	return 0;
}

bool all_peers_runs(const struct all_peers *all)
{
	return all->binds != NULL;
}
