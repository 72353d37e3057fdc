/* Orders everything there is from the store, a slice at a time. Runs in the broker's event loop. */
#include "server/promise_round.h"

#include "server/promises.h"

/* What is promised of one that another host serves is that host's to tell. */
static bool is_promised(const struct endpoint *endpoint)
{
	return endpoint->state != ENDPOINT_DESCRIBED && endpoint->state != ENDPOINT_STANDBY;
}

static void promise_one(void *context, struct endpoint *endpoint, struct peer *peer)
{
	(void)context;
	if (is_promised(endpoint))
		promise_peer(endpoint, peer);
}

static void end(void *context)
{
	struct promise_round *round = context;

	round->done(round->context);
}

int promise_round_init(struct promise_round *round, struct event_base *base,
	const struct endpoint_list *endpoints, peer_walk_done_fn *done, void *context)
{
	*round = (struct promise_round){.done = done, .context = context};
	return all_peers_init(&round->peers, base, endpoints, promise_one, end, round);
}

void promise_round_free(struct promise_round *round)
{
	all_peers_free(&round->peers);
}

/* Before any peer's: what is about all of an endpoint would undo what came before it. */
static void promise_endpoints(const struct promise_round *round)
{
	const struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, round->peers.endpoints, entry) {
		if (!is_promised(endpoint))
			continue;
		promise_nobody(endpoint);
		promise_endpoint(endpoint);
	}
}

static void promise_all_peers(struct promise_round *round)
{
	struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, round->peers.endpoints, entry)
		hash_for_each (&endpoint->peers.table, node)
			promise_one(round, endpoint, hash_entry(node, struct peer, node));
}

void promise_round_begin(struct promise_round *round)
{
	promise_endpoints(round);
	if (all_peers_begin(&round->peers) == 0)
		return;
	promise_all_peers(round);
	round->done(round->context);
}

void promise_round_finish(struct promise_round *round)
{
	if (!all_peers_runs(&round->peers))
		return;
	all_peers_cancel(&round->peers);
	promise_all_peers(round);
}
