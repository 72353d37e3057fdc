/*
 * What a client's request does to an endpoint, whatever kind of peer it is from. Runs in the
 * broker.
 */
#include "server/requests.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/flow_purge.h"
#include "server/heal.h"
#include "server/name_rules.h"
#include "server/newcomers.h"
#include "server/parked_requests.h"
#include "server/peer_events.h"
#include "server/pending_connects.h"
#include "server/promises.h"
#include "server/removals.h"
#include "server/rival.h"
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

enum {
	/* What waits, for its address to be freed or for a reading, is answered after that. */
	ANSWER_LATER = 0,
	/* What peers have used is to be read again before. */
	READ_FIRST = -1,
};

static int refuse_address(
	struct endpoint *endpoint, const struct plane_peer *id, struct ipv4 source, int error)
{
	struct log_limit_text more;

	/* A gate can have so many requests open and no more: none waits for what will not be. */
	if (error == -EAGAIN && flow_purge_works(endpoint->flow_purge))
		return ANSWER_LATER;
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

/* What a client gets, and the store's sequence number of it. */
struct given {
	struct ipv4 address;
	uint64_t sequence;
};

static void record_source(
	struct endpoint *endpoint, struct peer *peer, const struct client_request *request)
{
	peers_set_source(&endpoint->peers, peer, request->source);
	peer->source_port = request->source_port;
}

/* Returns an ipc_status, or ANSWER_LATER. */
static int connect_new(struct endpoint *endpoint, struct plane_peer *id,
	const struct client_request *request, struct given *given)
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
	*given = (struct given){id->inner, peer->promise.sequence};
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

static enum ipc_status connect_again(struct endpoint *endpoint, struct peer *peer,
	const struct client_request *request, struct given *given)
{
	const struct ipv4 source = request->source;
	bool is_elsewhere = !ipv4_equal(peer->source, source);
	struct log_limit_text more;
	int is_renamed;

	given->address = peer->id.inner;
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
	given->sequence = peer->promise.sequence;
	peer->connected_ms = clock_now_ms(endpoint->clock);
	record_source(endpoint, peer, request);
	newcomers_add(&endpoint->newcomers, peer);
	endpoint->counts[REPORT_COUNTED_GRANTED_AGAIN]++;
	peer_events_asked_again(endpoint, peer, is_elsewhere || is_renamed > 0);
	return IPC_OK;
}

static struct plane_peer identity_of(const struct client_request *request)
{
	struct plane_peer id = {.kind = PEER_IPIP};

	if (request->operation == IPC_CONNECT_WIREGUARD ||
		request->operation == IPC_DISCONNECT_WIREGUARD) {
		id.kind = PEER_WIREGUARD;
		id.key = request->key;
	} else {
		id.remote = request->source;
	}
	return id;
}

/* Two names that get a peer each, and then ask for each other's, would have any number. That it is
 * nearly used up is no reason here: it takes no address. */
static bool may_not_become(
	const struct endpoint *endpoint, const struct peer *peer, const struct client_name *name)
{
	return !client_name_equal(peers_name_of(peer), name) && name_is_full(endpoint, name);
}

/* Returns IPC_OK if the peer is nobody else's, another ipc_status, or READ_FIRST, which it does not
 * if that was done. */
static int check_rival(const struct endpoint *endpoint, const struct peer *peer,
	const struct client_request *request, bool is_read)
{
	switch (rival_find(endpoint, peer, request)) {
	case RIVAL_ACTIVE:
		return IPC_OTHER_CLIENT;
	case RIVAL_UNKNOWN:
		return is_read ? IPC_OK : READ_FIRST;
	default:
		return IPC_OK;
	}
}

/* Returns an ipc_status, ANSWER_LATER or READ_FIRST. */
static int handle_connect(struct endpoint *endpoint, const struct client_request *request,
	bool is_read, struct given *given)
{
	struct plane_peer id = identity_of(request);
	struct peer *peer = peers_find(&endpoint->peers, &id);
	int status;

	/* WireGuard ignores a peer with the interface's own key, and reports no error. The gates
	 * look for both, but one may have been taken over. */
	if (id.kind == PEER_WIREGUARD &&
		(key_equal(&id.key, &endpoint->public_key) || key_is_low_order(&id.key)))
		return IPC_INVALID_KEY;
	if (!peer)
		return connect_new(endpoint, &id, request, given);
	status = check_rival(endpoint, peer, request, is_read);
	if (status != IPC_OK)
		return status;
	if (may_not_become(endpoint, peer, &request->name))
		return IPC_TOO_MANY_OF_NAME;
	return (int)connect_again(endpoint, peer, request, given);
}

/* Whoever asks without an id takes it from nobody. */
static void record_client(struct endpoint *endpoint, const struct client_request *request)
{
	struct plane_peer id = identity_of(request);
	struct peer *peer = peers_find(&endpoint->peers, &id);

	if (peer && id.kind == PEER_IPIP && !key_is_zero(&request->key))
		peer->client = peers_client(&endpoint->peers, &request->key);
}

static void answer(
	struct endpoint *endpoint, const struct reply_to *reply_to, int status, struct ipv4 address)
{
	endpoint->answer(endpoint->answer_context, reply_to, (enum ipc_status)status, address);
}

static void refuse(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to, int status)
{
	const struct plane_peer id = identity_of(request);

	peer_events_refused(endpoint, request, &id, (enum ipc_status)status);
	answer(endpoint, reply_to, status, (struct ipv4){0});
}

/* What was given is said when it is stored. */
static void answer_connect(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to, int status, const struct given *given)
{
	if (status == IPC_OK) {
		record_client(endpoint, request);
		promise_answer(endpoint, reply_to, given->address, given->sequence);
		return;
	}
	refuse(endpoint, request, reply_to, status);
}

static int wait_for_address(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to)
{
	if (pending_connects_add(&endpoint->pending, request, reply_to) < 0)
		return IPC_FAILED;
	flow_purge_hurry(endpoint->flow_purge);
	return ANSWER_LATER;
}

static void serve(struct endpoint *endpoint, struct pending_connect *connect)
{
	struct given given = {0};
	int status = IPC_UNAUTHORIZED;

	/* It may have gone while the request waited. */
	if (name_is_good(endpoint->name_rules, &connect->request.name))
		status = handle_connect(endpoint, &connect->request, true, &given);
	if (status == ANSWER_LATER)
		return;
	answer_connect(endpoint, &connect->request, &connect->reply_to, status, &given);
	pending_connects_remove(&endpoint->pending, connect);
}

/* All of them: behind one that still has to wait there may be another of a client that has got its
 * tunnel just now. */
void endpoint_serve_pending(struct endpoint *endpoint)
{
	struct pending_connect *connect = pending_connects_first(&endpoint->pending), *next;

	for (; connect; connect = next) {
		next = TAILQ_NEXT(connect, entry);
		serve(endpoint, connect);
	}
}

static void handle_read(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to);

/* Returns ANSWER_LATER, or IPC_FAILED. */
static int read_first(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to)
{
	return parked_requests_add(&endpoint->parked, request, reply_to, handle_read) < 0
		       ? IPC_FAILED
		       : ANSWER_LATER;
}

static void begin_connect(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to, bool is_read)
{
	struct given given = {0};
	int status = handle_connect(endpoint, request, is_read, &given);

	if (status == ANSWER_LATER)
		status = wait_for_address(endpoint, request, reply_to);
	else if (status == READ_FIRST)
		status = read_first(endpoint, request, reply_to);
	if (status != ANSWER_LATER)
		answer_connect(endpoint, request, reply_to, status, &given);
}

/* Returns an ipc_status, or ANSWER_LATER: then it is answered elsewhere. */
static int begin_disconnect(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to, bool is_read)
{
	const struct plane_peer id = identity_of(request);
	struct peer *peer;
	int status;

	pending_connects_cancel(&endpoint->pending, request);
	peer = peers_find(&endpoint->peers, &id);
	if (!peer)
		return IPC_OK;
	status = check_rival(endpoint, peer, request, is_read);
	if (status == READ_FIRST)
		return read_first(endpoint, request, reply_to);
	if (status != IPC_OK) {
		refuse(endpoint, request, reply_to, status);
		return ANSWER_LATER;
	}
	return removals_add(&endpoint->removals, peer, &removal_asked, reply_to) == 0 ? ANSWER_LATER
										      : IPC_FAILED;
}

/* What stays when the server ends is of all clients: it is not for one of many to say. */
static enum ipc_status relinquish(struct endpoint *endpoint, const struct client_request *request)
{
	struct log_limit_text more;

	if (!name_may_relinquish(endpoint->name_rules, &request->name)) {
		if (endpoint_may_log(endpoint, request->source, &more))
			log_warning("%s: not relinquished for %s%s%s", endpoint_text(endpoint).s,
				ipv4_text(request->source).s, client_name_note(&request->name).s,
				more.s);
		return IPC_NOT_ALLOWED;
	}
	if (!endpoint->keep)
		log_info("%s: relinquished: its data plane stays when this server exits",
			endpoint_text(endpoint).s);
	endpoint->keep = true;
	return IPC_OK;
}

/* is_read: of what peers have used the latest is known. */
static void handle(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to, bool is_read)
{
	int status = IPC_OK;

	/* It may have gone while the request was on its way. */
	if (!name_is_good(endpoint->name_rules, &request->name)) {
		refuse(endpoint, request, reply_to, IPC_UNAUTHORIZED);
		return;
	}
	switch (request->operation) {
	case IPC_CONNECT_WIREGUARD:
	case IPC_CONNECT_IPIP:
		begin_connect(endpoint, request, reply_to, is_read);
		return;
	case IPC_DISCONNECT_WIREGUARD:
	case IPC_DISCONNECT_IPIP:
		status = begin_disconnect(endpoint, request, reply_to, is_read);
		if (status == ANSWER_LATER)
			return;
		break;
	case IPC_RELINQUISH:
		status = (int)relinquish(endpoint, request);
		break;
	case IPC_READY: /* these are the supervisor's */
	case IPC_REFUSED:
	case IPC_FETCH_KEYS:
	case IPC_OPERATION_END:
		status = IPC_FAILED;
		break;
	}
	answer(endpoint, reply_to, status, (struct ipv4){0});
}

static void handle_read(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to)
{
	handle(endpoint, request, reply_to, true);
}

void endpoint_handle(struct endpoint *endpoint, const struct client_request *request,
	const struct reply_to *reply_to)
{
	handle(endpoint, request, reply_to, false);
}
