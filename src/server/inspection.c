/*
 * The inspection of an endpoint. Runs in the broker, at every reap interval, and at once when an
 * interface has vanished.
 */
#include "server/inspection.h"

#include <errno.h>

#include "base/log.h"
#include "server/endpoint.h"
#include "server/heal.h"
#include "server/removals.h"
#include "server/restoration.h"
#include "server/usage.h"

/* Not being in the dump is a hint only: an address is free when the lookup says "no such device".
 */
static bool has_vanished(struct endpoint *endpoint, const struct peer *peer)
{
	return peer->id.kind == PEER_IPIP && !peer->is_owed &&
	       peer->last_reading != endpoint->reading &&
	       endpoint->plane->ops->check(endpoint->device, &peer->id) == -ENODEV;
}

static void remove_if_due(
	struct endpoint *endpoint, struct peer *peer, const struct idle_rule *rule, uint64_t now_ms)
{
	if (peer->removal_reason)
		return;
	if (peer->is_unmade)
		removals_add(&endpoint->removals, peer, &removal_unmade, NULL);
	else if (has_vanished(endpoint, peer))
		removals_add(&endpoint->removals, peer, &removal_vanished, NULL);
	else if (peer_is_idle(peer, rule, now_ms))
		removals_add(&endpoint->removals, peer, &removal_idle, NULL);
}

void endpoint_inspect(struct endpoint *endpoint, const struct idle_rule *rule)
{
	uint64_t now_ms = clock_now_ms(endpoint->clock);
	int error = usage_read(endpoint);

	if (error == -ENODEV) {
		endpoint_heal(endpoint);
		return;
	}
	if (error < 0) {
		log_warning("%s: cannot look for idle peers, will try again: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
		return;
	}
	if (endpoint->plane->ops->reconcile(endpoint->device) < 0)
		log_warning("%s: cannot put right what others have changed, will try again: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	endpoint_make_owed(endpoint);
	hash_for_each (&endpoint->peers.table, node)
		remove_if_due(endpoint, hash_entry(node, struct peer, node), rule, now_ms);
}
