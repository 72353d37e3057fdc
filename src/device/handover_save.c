/* Writes peers, sessions, keys and counters into records. Runs in the control thread of the process
 * that is replaced. */
#include "device/handover_save.h"

#include <stddef.h>
#include <string.h>

#include "device/handover_state.h"
#include "device/ipip/ipip_peer.h"
#include "device/wireguard/session.h"

static uint64_t load(const _Atomic uint64_t *place)
{
	return atomic_load_explicit(place, memory_order_relaxed);
}

/* --- Configuration --- */

static int save_allowed_ips(struct handover_channel *to, const struct wg_peer *peer)
{
	const struct allowedips_entry *entry = NULL;
	struct allowed_ip prefix;
	int error = 0;

	while (error == 0 &&
		(entry = allowedips_next(&peer->target.inner, entry, &prefix)) != NULL) {
		struct handover_allowed_ip record = {
			.family = (uint8_t)prefix.family, .length = prefix.length};

		memcpy(record.address, prefix.address,
			prefix.family == AF_INET ? sizeof(struct in_addr) : sizeof record.address);
		error = handover_put(to, HANDOVER_ALLOWED_IP, &record, sizeof record);
	}
	return error;
}

static uint8_t count_keypairs(const struct session *session)
{
	const struct keypairs *keypairs = &session->keypairs;

	return (uint8_t)((atomic_load(&keypairs->current) != NULL) + (keypairs->previous != NULL) +
			 (atomic_load(&keypairs->next) != NULL));
}

static int save_peer(struct handover_channel *to, const struct wg_peer *peer)
{
	const struct session *session = session_of(peer);
	struct handover_peer record = {.public_key = peer->remote.public_key,
		.static_static = peer->remote.static_static,
		.persistent_s = peer->persistent_s,
		.has_preshared = peer->remote.preshared != NULL,
		.has_session = session != NULL,
		.n_keypairs = session ? count_keypairs(session) : 0};
	int error;

	if (peer->remote.preshared)
		record.preshared = *peer->remote.preshared;
	error = handover_put(to, HANDOVER_PEER, &record, sizeof record);
	explicit_bzero(&record, sizeof record);
	return error == 0 ? save_allowed_ips(to, peer) : error;
}

static int save_ipip_peer(struct handover_channel *to, const struct ipip_peer *peer)
{
	const struct handover_ipip_peer record = {
		.remote = peer->remote.s_addr, .inner = peer->source.s_addr};

	return handover_put(to, HANDOVER_IPIP_PEER, &record, sizeof record);
}

int handover_save_peers(struct handover_channel *to, struct device *device)
{
	int error = 0;

	for (struct target *t = device->first; t && error == 0; t = t->next)
		error = t->kind == TARGET_WIREGUARD ? save_peer(to, wg_peer_of(t))
						    : save_ipip_peer(to, ipip_peer_of(t));
	return error;
}

/* --- What packets change --- */

static int save_counters(struct handover_channel *to, struct device *device)
{
	struct handover_counters record = {0};
	unsigned int n = 0;

	for (unsigned int i = 0; handover_drops_place(device, i); i++)
		record.drops[n++] = load(handover_drops_place(device, i));
	for (unsigned int i = 0; handover_control_drops_place(device, i); i++)
		record.drops[n++] = *handover_control_drops_place(device, i);
	return handover_put(to, HANDOVER_COUNTERS, &record, sizeof record);
}

static int save_keypair(struct handover_channel *to, const struct keypair *keypair,
	enum handover_keypair_place place)
{
	struct handover_keypair record;
	size_t length;
	int error;

	if (!keypair)
		return 0;
	record = (struct handover_keypair){.index = keypair->entry.index,
		.remote_index = keypair->remote_index,
		.place = (uint8_t)place,
		.initiator = keypair->initiator,
		.rekey_asked = atomic_load(&keypair->rekey_asked),
		.confirmed = atomic_load(&keypair->confirmed),
		.made_ms = keypair->made_ms,
		.send = keypair->send,
		.receive = keypair->receive,
		.send_counter = load(&keypair->send_counter)};
	record.n_words = replay_save(&keypair->replay, &record.newest, record.words);
	length = offsetof(struct handover_keypair, words) + record.n_words * sizeof *record.words;
	error = handover_put(to, HANDOVER_KEYPAIR, &record, length);
	explicit_bzero(&record, sizeof record);
	return error;
}

static int save_pending(struct handover_channel *to, const struct pending_handshake *pending)
{
	const struct handshake *handshake = &pending->handshake;
	struct handover_pending record = {.index = pending->entry.index,
		.remote_index = handshake->remote_index,
		.remote_ephemeral = handshake->remote_ephemeral,
		.remote_static = handshake->remote_static};
	int error = 0;

	memcpy(record.chaining_key, handshake->chaining_key, sizeof record.chaining_key);
	memcpy(record.hash, handshake->hash, sizeof record.hash);
	if (handshake->ephemeral)
		error = curve_key_private(handshake->ephemeral, &record.ephemeral);
	if (error == 0)
		error = handover_put(to, HANDOVER_PENDING, &record, sizeof record);
	explicit_bzero(&record, sizeof record);
	return error;
}

static int save_timers(struct handover_channel *to, const struct session *session)
{
	const struct timers *timers = &session->timers;
	const struct cookie_jar *jar = &session->jar;
	struct handover_session record = {
		.unanswered_since = load(&timers->unanswered_since),
		.owed_since = load(&timers->owed_since),
		.traversed = load(&timers->traversed),
		.wanted = load(&timers->wanted),
		.handshake_began = timers->handshake_began,
		.initiation_sent = timers->initiation_sent,
		.retransmit_at = timers->retransmit_at,
		.zero_at = timers->zero_at,
		.cookie_received_ms = jar->received_ms,
		.jitter_ms = timers->jitter_ms,
		.has_cookie = jar->has_cookie,
		.has_sent_mac1 = jar->has_sent_mac1,
	};

	memcpy(record.cookie, jar->cookie, sizeof record.cookie);
	memcpy(record.sent_mac1, jar->sent_mac1, sizeof record.sent_mac1);
	return handover_put(to, HANDOVER_SESSION, &record, sizeof record);
}

static int save_session(struct handover_channel *to, const struct session *session)
{
	const struct keypairs *keypairs = &session->keypairs;
	int error = save_timers(to, session);

	if (error == 0)
		error = save_keypair(to, atomic_load(&keypairs->current), HANDOVER_CURRENT);
	if (error == 0)
		error = save_keypair(to, keypairs->previous, HANDOVER_PREVIOUS);
	if (error == 0)
		error = save_keypair(to, atomic_load(&keypairs->next), HANDOVER_NEXT);
	return error == 0 && session->pending ? save_pending(to, session->pending) : error;
}

static int save_staged(void *context, const struct staged_packet *packet)
{
	struct handover_staged record = {0};

	_Static_assert(sizeof packet->header <= sizeof record.header, "virtio_net_hdr");
	memcpy(record.header, &packet->header, sizeof packet->header);
	return handover_put_with(
		context, HANDOVER_STAGED, &record, sizeof record, packet->data, packet->length);
}

static void describe_wg_peer(const struct wg_peer *peer, struct handover_peer_state *record)
{
	struct udp_endpoint endpoint;

	peer_address_get(&peer->address, &endpoint);
	handover_endpoint_write(&endpoint, &record->endpoint);
	record->requests = atomic_load(&peer->requests);
	record->handshake_ns = load(&peer->handshake_ns);
	record->initiation_ms = peer->initiation_ms;
	record->plain = atomic_load(&peer->address.plain_left) > 0;
	memcpy(record->timestamp, peer->timestamp, sizeof record->timestamp);
}

static int save_state(
	struct handover_channel *to, struct device *device, struct target *target, uint32_t number)
{
	struct wg_peer *peer = target->kind == TARGET_WIREGUARD ? wg_peer_of(target) : NULL;
	struct handover_peer_state record = {
		.number = number, .received = load(&target->received), .sent = load(&target->sent)};
	int error;

	if (peer)
		describe_wg_peer(peer, &record);
	else
		record.active_ms = load(&ipip_peer_of(target)->active_ms);
	error = handover_put(to, HANDOVER_PEER_STATE, &record, sizeof record);
	if (error == 0 && peer && session_of(peer))
		error = save_session(to, session_of(peer));
	if (error == 0 && peer && staged_packets_any(peer))
		error = staged_packets_each(&device->shared.staged, peer, save_staged, to);
	return error;
}

/* What workers have received, and the control thread has not yet dealt with. They stay there. */
static int save_handshakes(struct handover_channel *to, const struct handoff *handoff)
{
	uint32_t waiting = handoff_count(handoff);
	int error = 0;

	for (uint32_t i = 0; i < waiting && error == 0; i++) {
		const struct handoff_message *message = handoff_look(handoff, i);
		struct handover_handshake record;

		handover_endpoint_write(&message->source, &record.from);
		error = handover_put_with(to, HANDOVER_HANDSHAKE, &record, sizeof record,
			message->data, message->length);
	}
	return error;
}

int handover_save_sessions(struct handover_channel *to, struct device *device)
{
	uint32_t number = 0;
	int error = save_counters(to, device);

	for (struct target *t = device->first; t && error == 0; t = t->next)
		error = save_state(to, device, t, number++);
	for (unsigned int i = 0; i < device->n_workers && error == 0; i++)
		error = save_handshakes(to, &device->workers[i].receiver.handoff);
	return error;
}
