/*
 * Opening an endpoint, which reads back who holds which address, and closing it. Runs in the
 * broker, at its start and end.
 */
#include "server/adoption.h"

#include <errno.h>
#include <string.h>

#include "base/event.h"
#include "base/log.h"
#include "server/endpoint.h"
#include "server/give_back.h"
#include "server/handshake_floor.h"
#include "server/inspection.h"
#include "server/judgement.h"
#include "server/name_rules.h"
#include "server/newcomers.h"
#include "server/parked_requests.h"
#include "server/owed.h"
#include "server/peer_walk.h"
#include "server/pending_connects.h"
#include "server/removals.h"
#include "server/standby_round.h"
#include "server/usage.h"

enum { OPENING_TRIES = 4 };

struct adoption {
	struct endpoint *endpoint;
	struct orphans orphans;
	size_t n_adopted;
};

/* Takes the peer into the tables. Returns 0, -EEXIST if another one holds its address or has its
 * identity, or -ENOMEM. */
static int adopt_peer(struct endpoint *endpoint, const struct plane_peer *id)
{
	int error =
		peers_find(&endpoint->peers, id) ? -EEXIST : pool_claim(endpoint->pool, id->inner);

	if (error < 0)
		return error;
	if (peers_add(&endpoint->peers, id, clock_now_ms(endpoint->clock)))
		return 0;
	pool_release(endpoint->pool, id->inner);
	return -ENOMEM;
}

static int adopt_found(void *context, const struct plane_found *found)
{
	struct adoption *adoption = context;
	struct judgement judgement = judge_found(adoption->endpoint, found);
	int error;

	if (judgement.fault[0] != '\0')
		return orphans_add(&adoption->orphans, adoption->endpoint, found, judgement.fault);
	error = adopt_peer(adoption->endpoint, &found->peer);
	if (error == -EEXIST)
		return orphans_add(&adoption->orphans, adoption->endpoint, found,
			"another peer holds its address");
	adoption->n_adopted += error == 0;
	return error;
}

static int record_usage(void *context, const struct plane_peer *id, const struct plane_usage *usage)
{
	struct endpoint *endpoint = context;
	struct peer *peer = peers_find(&endpoint->peers, id);

	if (!peer)
		return 0;
	peer_adopt_usage(peer, usage);
	peers_set_source(&endpoint->peers, peer, id->kind == PEER_IPIP ? id->remote : usage->outer);
	return 0;
}

/* Finds the peers, removes those that cannot stay, and reads what the others have used before. */
static int read_back(struct adoption *adoption)
{
	struct endpoint *endpoint = adoption->endpoint;
	const struct plane_ops *ops = endpoint->plane->ops;
	int error = ops->find(endpoint->device, adopt_found, adoption);

	if (error == 0)
		error = orphans_remove(&adoption->orphans, endpoint);
	if (error < 0)
		return error;
	endpoint->read_ms = clock_now_ms(endpoint->clock);
	return plane_dump(endpoint->device, record_usage, endpoint);
}

static int adopt_peers(struct endpoint *endpoint)
{
	struct adoption adoption = {.endpoint = endpoint};
	int error = read_back(&adoption);

	endpoint->counts[REPORT_COUNTED_ADOPTED] += adoption.n_adopted;
	endpoint->counts[REPORT_COUNTED_ORPHAN] += adoption.orphans.n;
	orphans_free(&adoption.orphans);
	if (error < 0) {
		log_error("%s: cannot read back its peers: %s", endpoint_text(endpoint).s,
			error == -ENOMEM ? strerror(ENOMEM) : plane_error(endpoint->plane));
		return error;
	}
	if (adoption.n_adopted == 0)
		return 0;
	/* What a server that crashed has left half made. It is no reason not to start: every
	 * inspection tries it again. */
	endpoint_put_right(endpoint, PLANE_AT_ONCE);
	log_info("%s: adopted %zu peers", endpoint_text(endpoint).s, adoption.n_adopted);
	return 0;
}

static int open_once(struct endpoint *endpoint, struct event_base *base)
{
	int error = pool_new(endpoint->config.block, &endpoint->pool);

	endpoint->state = ENDPOINT_OPEN;

	if (error == 0)
		error = peers_init(&endpoint->peers);
	if (error == 0)
		error = removals_init(&endpoint->removals, endpoint, base);
	if (error == 0)
		error = pending_connects_init(&endpoint->pending, endpoint, base);
	usage_init(endpoint, base);
	parked_requests_init(&endpoint->parked, endpoint);
	if (error == 0)
		error = inspection_init(&endpoint->inspection, endpoint, base);
	if (error == 0)
		error = newcomers_init(&endpoint->newcomers, endpoint, base);
	if (error == 0)
		error = owed_init(&endpoint->owed, endpoint, base);
	if (error == 0)
		error = standby_round_init(&endpoint->standby, endpoint, base);
	if (error == 0)
		error = name_rules_init(endpoint, base);
	if (error == 0)
		error = handshake_floor_init(
			&endpoint->floor, endpoint, endpoint->floor.reserved_s, base);
	if (error < 0) {
		log_error("%s: cannot set up block %s: %s", endpoint_text(endpoint).s,
			prefix_text(endpoint->config.block).s, strerror(-error));
		return error;
	}
	handshake_floor_prepare(endpoint);
	error = endpoint->plane->ops->open(endpoint->plane, &endpoint->config, &endpoint->device);
	if (error < 0) {
		log_error("%s: cannot open %s: %s", endpoint_text(endpoint).s,
			plane_device_name(endpoint->config.index).s, plane_error(endpoint->plane));
		return error;
	}
	return adopt_peers(endpoint);
}

int endpoint_close(struct endpoint *endpoint, bool keep)
{
	int error = 0;

	parked_requests_free(&endpoint->parked);
	peer_walk_free(&endpoint->name_walk);
	newcomers_free(&endpoint->newcomers);
	inspection_free(&endpoint->inspection);
	peer_walk_end_all(endpoint);
	usage_abandon(endpoint);
	handshake_floor_free(&endpoint->floor);
	owed_free(&endpoint->owed);
	standby_round_free(&endpoint->standby);
	removals_free(&endpoint->removals);
	pending_connects_free(&endpoint->pending);
	if (endpoint->device)
		error = endpoint->plane->ops->close(endpoint->device, keep);
	endpoint->device = NULL;
	peers_free(&endpoint->peers);
	pool_free(endpoint->pool);
	endpoint->pool = NULL;
	endpoint->state = ENDPOINT_DESCRIBED;
	return error;
}

int endpoint_open(struct endpoint *endpoint, struct event_base *base)
{
	int error = open_once(endpoint, base);

	for (int i = 1; i < OPENING_TRIES && device_is_lost(error); i++) {
		log_warning("%s: %s was lost while it was opened, trying again",
			endpoint_text(endpoint).s, plane_device_name(endpoint->config.index).s);
		endpoint_close(endpoint, true);
		error = open_once(endpoint, base);
	}
	return error;
}
