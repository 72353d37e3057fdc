/* Decides whether an IPIP tunnel is in use by another client of the same address. Runs in the
 * broker.
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

bool rival_is_active(struct endpoint *endpoint, struct peer *peer, const struct key *id)
{
	if (peer->id.kind != PEER_IPIP || key_is_zero(id) || key_is_zero(&peer->client) ||
		key_equal(id, &peer->client))
		return false;
	if (!was_heard(endpoint, peer))
		read_again(endpoint);
	return was_heard(endpoint, peer);
}
