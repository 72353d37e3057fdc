/*
 * What a client's request does to an endpoint, whatever kind of peer it is from. Runs in the
 * broker.
 */
#include "server/requests.h"

#include "base/log.h"
#include "server/endpoint.h"
#include "server/flow_purge.h"
#include "server/grant.h"
#include "server/name_rules.h"
#include "server/parked_requests.h"
#include "server/peer_events.h"
#include "server/pending_connects.h"
#include "server/promises.h"
#include "server/removals.h"
#include "server/rival.h"

enum {
	/* What waits, for its address to be freed or for a reading, is answered after that. */
	ANSWER_LATER = GRANT_WAITS,
	/* What peers have used is to be read again before. */
	READ_FIRST = -1,
};

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
	bool is_read, struct granted *granted)
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
		return grant_new(endpoint, &id, request, granted);
	status = check_rival(endpoint, peer, request, is_read);
	if (status != IPC_OK)
		return status;
	if (may_not_become(endpoint, peer, &request->name))
		return IPC_TOO_MANY_OF_NAME;
	return (int)grant_again(endpoint, peer, request, granted);
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
	const struct reply_to *reply_to, int status, const struct granted *granted)
{
	if (status == IPC_OK) {
		record_client(endpoint, request);
		promise_answer(endpoint, reply_to, granted->address, granted->sequence);
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
	struct granted granted = {0};
	int status = IPC_UNAUTHORIZED;

	/* It may have gone while the request waited. */
	if (name_is_good(endpoint->name_rules, &connect->request.name))
		status = handle_connect(endpoint, &connect->request, true, &granted);
	if (status == ANSWER_LATER)
		return;
	answer_connect(endpoint, &connect->request, &connect->reply_to, status, &granted);
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
	struct granted granted = {0};
	int status = handle_connect(endpoint, request, is_read, &granted);

	if (status == ANSWER_LATER)
		status = wait_for_address(endpoint, request, reply_to);
	else if (status == READ_FIRST)
		status = read_first(endpoint, request, reply_to);
	if (status != ANSWER_LATER)
		answer_connect(endpoint, request, reply_to, status, &granted);
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
