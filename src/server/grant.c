/*
 * Makes the tunnels that clients ask for: of new peers, and again of those that are there. Runs in
 * the broker.
 */
#include "server/grant.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/flow_purge.h"
#include "server/heal.h"
#include "server/name_rules.h"
#include "server/newcomers.h"
#include "server/peer_events.h"
#include "server/promises.h"
#include "server/removals.h"
#include "server/silence.h"

enum {
	HEAL_TRIES = 3,
};

static int add_to_device(struct endpoint *endpoint, const struct plane_peer *id)
{
	const uint64_t began_us = clock_stopwatch_us();
	int error = endpoint->plane->ops->add(endpoint->device, id);

	endpoint_record_time(endpoint, REPORT_OF_ADD, began_us);
	return error;
}

/* Writes the peer to the device; one that has vanished is made again. What is found in its place
 * may be the old one, just about to go: hence more than once. */
static int write_peer(struct endpoint *endpoint, const struct plane_peer *id)
{
	int error = endpoint->device ? add_to_device(endpoint, id) : -ENODEV;

	for (int i = 0; i < HEAL_TRIES && error == -ENODEV; i++) {
		error = endpoint_heal(endpoint);
		if (error == 0)
			error = add_to_device(endpoint, id);
	}
	return error;
}

static int refuse_address(
	struct endpoint *endpoint, const struct plane_peer *id, struct ipv4 source, int error)
{
	struct log_limit_text more;

	/* A gate can have so many requests open and no more: none waits for what will not be. */
	if (error == -EAGAIN && flow_purge_works(endpoint->flow_purge))
		return GRANT_WAITS;
	if (endpoint_may_log(endpoint, source, &more))
		log_warning("%s: no address for %s: %s%s", endpoint_text(endpoint).s,
			peer_text(id).s,
			error == -ENOSPC   ? "the block is used up"
			: error == -EAGAIN ? "those that are left were freed a moment ago"
					   : strerror(-error),
			more.s);
	return error == -ENOMEM ? IPC_FAILED : IPC_POOL_EXHAUSTED;
}

/* Whether a source has so many peers that what is left is for others. */
static bool has_its_share(const struct endpoint *endpoint, struct ipv4 source)
{
	return endpoint_is_nearly_used_up(endpoint) &&
	       peer_sources_count(&endpoint->peers.sources, source) >= endpoint_share(endpoint);
}

/*
 * Of a new peer whose tunnel could not be made. That nothing of it is there is not certain: a
 * device that did not answer in time may make it yet, and one that was lost may have been given it.
 * So it holds its address until the data plane confirms that it is gone. While there is nobody to
 * ask, each question would keep all requests waiting: the inspection asks once the device answers.
 */
static void give_up(struct endpoint *endpoint, struct peer *peer, int error)
{
	peer->is_unmade = true;
	if (endpoint->device && error != -ETIMEDOUT)
		removals_add(&endpoint->removals, peer, &removal_unmade, NULL);
}

static void log_failure(struct endpoint *endpoint, const struct plane_peer *id, struct ipv4 source,
	const char *failure)
{
	struct log_limit_text more;

	if (endpoint_may_log(endpoint, source, &more))
		log_error("%s: cannot make a tunnel for %s at %s: %s%s", endpoint_text(endpoint).s,
			peer_text(id).s, ipv4_text(id->inner).s, failure, more.s);
}

static void record_source(
	struct endpoint *endpoint, struct peer *peer, const struct client_request *request)
{
	peers_set_source(&endpoint->peers, peer, request->source);
	peer->source_port = request->source_port;
}

int grant_new(struct endpoint *endpoint, struct plane_peer *id,
	const struct client_request *request, struct granted *granted)
{
	const struct ipv4 source = request->source;
	struct peer *peer;
	int error;

	if (!client_name_is_none(&request->name)) {
		if (name_has_its_share(endpoint, &request->name)) {
			log_debug("%s: no address for %s%s: it has %u peers here already",
				endpoint_text(endpoint).s, peer_text(id).s,
				client_name_note(&request->name).s,
				peer_names_count(&endpoint->peers.names, &request->name));
			return IPC_TOO_MANY_OF_NAME;
		}
	} else if (has_its_share(endpoint, source)) {
		log_debug("%s: no address for %s: %s has %u peers already",
			endpoint_text(endpoint).s, peer_text(id).s, ipv4_text(source).s,
			peer_sources_count(&endpoint->peers.sources, source));
		return IPC_TOO_MANY_PEERS;
	}
	error = pool_take(endpoint->pool, &id->inner);
	if (error < 0)
		return refuse_address(endpoint, id, source, error);
	if (destinations_confine(endpoint, &request->name, id->inner) < 0) {
		removals_release(endpoint, id->inner);
		return IPC_FAILED;
	}
	peer = peers_add(&endpoint->peers, id, clock_now_ms(endpoint->clock));
	if (peer)
		record_source(endpoint, peer, request);
	error = peer ? peers_set_name(&endpoint->peers, peer, &request->name) : -ENOMEM;
	if (error == 0)
		error = write_peer(endpoint, id);
	if (error < 0) {
		log_failure(endpoint, id, source,
			error == -ENOMEM ? strerror(ENOMEM) : plane_error(endpoint->plane));
		if (peer)
			give_up(endpoint, peer, error);
		else
			removals_release(endpoint, id->inner);
		return IPC_FAILED;
	}
	newcomers_add(&endpoint->newcomers, peer);
	promise_peer(endpoint, peer);
	*granted = (struct granted){id->inner, peer->promise.sequence};
	endpoint->counts[REPORT_COUNTED_GRANTED]++;
	peer_events_granted(endpoint, peer);
	return IPC_OK;
}

/* A WireGuard peer is written again each time; an IPIP tunnel that may still be there is left
 * alone. */
static bool needs_writing(struct endpoint *endpoint, const struct peer *peer, struct ipv4 source)
{
	struct log_limit_text more;
	int error;

	if (peer->id.kind == PEER_WIREGUARD || !endpoint->device)
		return true;
	error = endpoint->plane->ops->check(endpoint->device, &peer->id);
	if (error == 0 || !endpoint_may_log(endpoint, source, &more))
		return error == -ENODEV;
	if (error == -ENODEV)
		log_warning("%s: the tunnel of %s has vanished, making it again%s",
			endpoint_text(endpoint).s, peer_text(&peer->id).s, more.s);
	else
		log_warning("%s: cannot look up the tunnel of %s, leaving it alone: %s%s",
			endpoint_text(endpoint).s, peer_text(&peer->id).s,
			plane_error(endpoint->plane), more.s);
	return error == -ENODEV;
}

/*
 * An IPIP tunnel outlives its endpoint's device: as long as it may be there, it keeps its address.
 * So does one that is missing because its device is lost: it is given back with the others.
 */
static void forget_if_gone(struct endpoint *endpoint, struct peer *peer, int error)
{
	if (error != -ENODEV && peer->id.kind == PEER_IPIP && endpoint->device &&
		endpoint->plane->ops->check(endpoint->device, &peer->id) == -ENODEV)
		removals_forget(endpoint, peer, "it has vanished, and cannot be made again");
}

/* Whatever becomes of a peer that is made anew, writing it again comes after it. */
static void heed_silence(struct endpoint *endpoint, struct peer *peer, struct ipv4 source)
{
	struct log_limit_text more;
	int error;

	if (!silence_is_over(endpoint, peer))
		return;
	error = silence_end(endpoint, peer);
	if (!endpoint_may_log(endpoint, source, &more))
		return;
	if (error < 0)
		log_warning("%s: cannot make %s anew: %s%s", endpoint_text(endpoint).s,
			peer_text(&peer->id).s, plane_error(endpoint->plane), more.s);
	else
		log_info("%s: %s asks again, and was not heard for %d s: made anew%s",
			endpoint_text(endpoint).s, peer_text(&peer->id).s, SILENCE_MS / 1000,
			more.s);
}

/* Its tunnel is now of who has asked last, and reaches what that one may. One that there is no
 * memory for keeps its name. Returns whether it has another name, or -errno: it must not be told
 * that it has a tunnel. */
static int rename_peer(struct endpoint *endpoint, struct peer *peer, const struct client_name *name)
{
	int error;

	if (client_name_equal(peers_name_of(peer), name))
		return 0;
	error = destinations_confine(endpoint, name, peer->id.inner);
	if (error < 0)
		return error;
	return peers_set_name(&endpoint->peers, peer, name) == 0;
}

enum ipc_status grant_again(struct endpoint *endpoint, struct peer *peer,
	const struct client_request *request, struct granted *granted)
{
	const struct ipv4 source = request->source;
	bool is_elsewhere = !ipv4_equal(peer->source, source);
	struct log_limit_text more;
	int is_renamed;

	granted->address = peer->id.inner;
	removals_cancel(&endpoint->removals, peer);
	heed_silence(endpoint, peer, source);
	if (needs_writing(endpoint, peer, source)) {
		int error = write_peer(endpoint, &peer->id);

		if (error < 0) {
			if (endpoint_may_log(endpoint, source, &more))
				log_error("%s: cannot make the tunnel of %s again: %s%s",
					endpoint_text(endpoint).s, peer_text(&peer->id).s,
					plane_error(endpoint->plane), more.s);
			forget_if_gone(endpoint, peer, error);
			return IPC_FAILED;
		}
	}
	peer->is_unmade = false;
	peers_set_owed(&endpoint->peers, peer, false);
	is_renamed = rename_peer(endpoint, peer, &request->name);
	if (is_renamed < 0)
		return IPC_FAILED;
	/* One whose tunnel could not be made at first was promised nothing. */
	if (is_renamed || !peer->promise.is_made)
		promise_peer(endpoint, peer);
	/* It may be that the first answer has got lost before the store was done. */
	granted->sequence = peer->promise.sequence;
	peer->connected_ms = clock_now_ms(endpoint->clock);
	record_source(endpoint, peer, request);
	newcomers_add(&endpoint->newcomers, peer);
	endpoint->counts[REPORT_COUNTED_GRANTED_AGAIN]++;
	peer_events_asked_again(endpoint, peer, is_elsewhere || is_renamed > 0);
	return IPC_OK;
}
