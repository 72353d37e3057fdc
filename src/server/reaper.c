#include "server/reaper.h"

#include <errno.h>

#include "base/log.h"
#include "server/endpoint.h"

struct look {
	struct endpoint *endpoint;
	uint64_t now_ms;
};

/* What has moved since; counters that were set back have begun at 0. */
static uint64_t moved(uint64_t before, uint64_t now)
{
	return now < before ? now : now - before;
}

static int note_peer(void *context, const struct plane_peer *id, const struct plane_usage *usage)
{
	struct look *look = context;
	struct endpoint *endpoint = look->endpoint;
	struct peer *peer = peers_find(&endpoint->peers, id);

	if (peer) {
		peer->look = endpoint->look;
		endpoint->received += moved(peer->usage.received, usage->received);
		endpoint->sent += moved(peer->usage.sent, usage->sent);
		peer_note_usage(peer, usage, look->now_ms);
	}
	return 0;
}

/* Not being in the dump is a hint only: an address is free when the lookup says "no such device".
 */
static bool has_vanished(struct endpoint *endpoint, const struct peer *peer)
{
	return peer->id.kind == PEER_IPIP && peer->look != endpoint->look &&
	       endpoint->plane->ops->check(endpoint->device, &peer->id) == -ENODEV;
}

static void judge(
	struct endpoint *endpoint, struct peer *peer, const struct idle_rule *rule, uint64_t now_ms)
{
	if (peer->removal_reason)
		return;
	if (has_vanished(endpoint, peer))
		removals_add(&endpoint->removals, peer, "its interface has vanished", NULL);
	else if (peer_is_idle(peer, rule, now_ms))
		removals_add(&endpoint->removals, peer, "idle", NULL);
}

int reaper_read(struct endpoint *endpoint)
{
	struct look look = {endpoint, clock_now_ms(endpoint->clock)};
	int error;

	endpoint->look++;
	error = endpoint->device ? endpoint->plane->ops->dump(endpoint->device, note_peer, &look)
				 : -ENODEV;
	if (error == 0) {
		endpoint->looked_ms = look.now_ms;
		endpoint->look_took_ms = clock_now_ms(endpoint->clock) - look.now_ms;
	}
	return error;
}

void reaper_look(struct endpoint *endpoint, const struct idle_rule *rule)
{
	uint64_t now_ms = clock_now_ms(endpoint->clock);
	int error = reaper_read(endpoint);

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
	hash_for_each (&endpoint->peers.table, node)
		judge(endpoint, hash_entry(node, struct peer, node), rule, now_ms);
}
