/* Decides whether a tunnel is in use by another client than the one that asks. Runs in the broker.
 */
#include "server/rival.h"

#include "server/endpoint.h"
#include "server/usage.h"

/* Of the broker's time, as in newcomers.c: one in so many parts, for readings that requests cause.
 */
enum { SHARE = 20 };

static bool was_heard(const struct endpoint *endpoint, const struct peer *peer)
{
	return peer->usage.received > 0 &&
	       clock_now_ms(endpoint->clock) - peer->silence.heard_ms < RIVAL_MS;
}

/* Bytes may have come since the last reading. */
static void read_again(struct endpoint *endpoint)
{
	uint64_t age_ms = clock_now_ms(endpoint->clock) - endpoint->read_ms;

	if (age_ms >= endpoint->read_took_ms * SHARE)
		usage_read(endpoint);
}

/* Of two IPIP clients of one address, each has its own id, or is taken for any. */
static bool has_other_id(const struct peer *peer, const struct key *id)
{
	return peer->id.kind == PEER_IPIP && !key_is_zero(id) && !key_is_zero(&peer->client) &&
	       !key_equal(id, &peer->client);
}

/* Public keys are no secrets: who knows one, and has a name of its own, must not have another
 * name's tunnel removed, or counted as its own. */
static bool has_other_name(const struct peer *peer, const struct client_name *name)
{
	return !client_name_is_none(peers_name_of(peer)) &&
	       !client_name_equal(peers_name_of(peer), name);
}

bool rival_is_active(
	struct endpoint *endpoint, struct peer *peer, const struct client_request *request)
{
	if (!has_other_id(peer, &request->key) && !has_other_name(peer, &request->name))
		return false;
	if (!was_heard(endpoint, peer))
		read_again(endpoint);
	return was_heard(endpoint, peer);
}
