/* Decides whether a tunnel is in use by another client than the one that asks. Runs in the broker.
 */
#include "server/rival.h"

#include "server/endpoint.h"
#include "server/usage.h"

static bool was_heard(const struct endpoint *endpoint, const struct peer *peer)
{
	return peer->usage.received > 0 &&
	       clock_now_ms(endpoint->clock) - peer->heard_ms < RIVAL_MS;
}

/* Of two IPIP clients of one address, each has its own id, or is taken for any. */
static bool has_other_id(
	const struct endpoint *endpoint, const struct peer *peer, const struct key *id)
{
	return peer->id.kind == PEER_IPIP && !key_is_zero(id) && peer->client != 0 &&
	       peer->client != peers_client(&endpoint->peers, id);
}

/* Public keys are no secrets: who knows one, and has a name of its own, must not have another
 * name's tunnel removed, or counted as its own. */
static bool has_other_name(const struct peer *peer, const struct client_name *name)
{
	return !client_name_is_none(peers_name_of(peer)) &&
	       !client_name_equal(peers_name_of(peer), name);
}

enum rival rival_find(const struct endpoint *endpoint, const struct peer *peer,
	const struct client_request *request)
{
	if (!has_other_id(endpoint, peer, &request->key) && !has_other_name(peer, &request->name))
		return RIVAL_NONE;
	if (was_heard(endpoint, peer))
		return RIVAL_ACTIVE;
	/* Bytes may have come since. */
	return usage_is_old(endpoint, 0) ? RIVAL_UNKNOWN : RIVAL_NONE;
}
