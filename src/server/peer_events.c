/* Tells the log, the audit and the flow log of peers that begin and end. Runs in the broker. */
#include "server/peer_events.h"

#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "server/audit.h"
#include "server/endpoint.h"
#include "server/owner_feed.h"

static struct audit_record describe(
	const struct endpoint *endpoint, const struct peer *peer, enum audit_event event)
{
	struct audit_record record = {
		.event = event,
		.name = peers_name_of(peer)->s,
		.source = peer->source,
		.source_port = peer->source_port,
		.serving = endpoint->config.bind,
	};

	audit_describe(&record, &peer->id);
	return record;
}

/* "192.0.2.1:40000" */
struct source_text {
	char s[sizeof(struct ipv4_text) + sizeof ":65535"];
};

static struct source_text source_text(const struct peer *peer)
{
	struct source_text text;

	snprintf(text.s, sizeof text.s, "%s:%u", ipv4_text(peer->source).s, peer->source_port);
	return text;
}

void peer_events_granted(struct endpoint *endpoint, struct peer *peer)
{
	const struct audit_record record = describe(endpoint, peer, AUDIT_GRANT);

	audit_tell(endpoint->audit, &record, LOG_LEVEL_INFO,
		"%s: %s has a tunnel, address %s%s, asked for from %s", endpoint_text(endpoint).s,
		peer_text(&peer->id).s, ipv4_text(peer->id.inner).s,
		client_name_note(peers_name_of(peer)).s, source_text(peer).s);
	peer->is_told = true;
	owner_feed_began(endpoint->owner_feed, peer);
}

/* One whose tunnel could not be made at first has it now. */
void peer_events_asked_again(struct endpoint *endpoint, struct peer *peer, bool is_another)
{
	const struct audit_record record = describe(endpoint, peer, AUDIT_RENEWAL);

	if (!peer->is_told) {
		peer_events_granted(endpoint, peer);
		return;
	}
	log_debug("%s: %s asked again, address %s", endpoint_text(endpoint).s,
		peer_text(&peer->id).s, ipv4_text(peer->id.inner).s);
	if (!is_another)
		return;
	audit_write(endpoint->audit, &record);
	owner_feed_began(endpoint->owner_feed, peer);
}

void peer_events_adopted(struct endpoint *endpoint)
{
	hash_for_each (&endpoint->peers.table, node) {
		struct peer *peer = hash_entry(node, struct peer, node);
		const struct audit_record record = describe(endpoint, peer, AUDIT_ADOPTION);

		if (peer->is_told)
			continue;
		audit_write(endpoint->audit, &record);
		peer->is_told = true;
		owner_feed_began(endpoint->owner_feed, peer);
	}
}

static struct audit_record describe_end(
	const struct endpoint *endpoint, const struct peer *peer, const char *reason)
{
	struct audit_record record = describe(endpoint, peer, AUDIT_REMOVAL);
	const uint64_t now_s = (uint64_t)time(NULL);

	record.reason = reason;
	record.has_usage = true;
	record.received = peer->usage.received;
	record.sent = peer->usage.sent;
	record.made_s = peer->promise.made_s;
	record.seconds = now_s > peer->promise.made_s ? now_s - peer->promise.made_s : 0;
	return record;
}

void peer_events_removed(struct endpoint *endpoint, const struct peer *peer, const char *reason)
{
	const struct audit_record record = describe_end(endpoint, peer, reason);

	audit_tell(peer->is_told ? endpoint->audit : NULL, &record, LOG_LEVEL_INFO,
		"%s: removed %s%s, address %s is free: %s", endpoint_text(endpoint).s,
		peer_text(&peer->id).s, client_name_note(peers_name_of(peer)).s,
		ipv4_text(peer->id.inner).s, reason);
	if (peer->is_told)
		owner_feed_ended(endpoint->owner_feed, peer);
}

void peer_events_ended(struct endpoint *endpoint, const char *reason)
{
	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);
		const struct audit_record record = describe_end(endpoint, peer, reason);

		if (!peer->is_told)
			continue;
		audit_write(endpoint->audit, &record);
		owner_feed_ended(endpoint->owner_feed, peer);
	}
}

static enum refusal_reason reason_of(enum ipc_status status)
{
	switch (status) {
	case IPC_UNAUTHORIZED:
		return REFUSAL_PASSWORD;
	case IPC_TOO_MANY_PEERS:
	case IPC_TOO_MANY_OF_NAME:
		return REFUSAL_PEERS;
	case IPC_POOL_EXHAUSTED:
		return REFUSAL_POOL;
	case IPC_OTHER_CLIENT:
		return REFUSAL_OTHER_CLIENT;
	case IPC_INVALID_KEY:
		return REFUSAL_KEY;
	case IPC_NOT_SERVED:
		return REFUSAL_NOT_SERVED;
	default:
		return REFUSAL_FAILED;
	}
}

void peer_events_refused(struct endpoint *endpoint, const struct client_request *request,
	const struct plane_peer *id, enum ipc_status status)
{
	const struct refused_request refusal = {
		.source = request->source,
		.bind = request->bind,
		.source_port = request->source_port,
		.reason = (uint16_t)reason_of(status),
		.count = 1,
	};

	audit_refuse(endpoint->audit, &refusal, request->name.s, id);
}
