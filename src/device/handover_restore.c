/* Makes peers, sessions, keys and counters of records. Runs in the control thread of the process
 * that takes a device over. */
#include "device/handover_restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "device/control.h"
#include "device/handover_state.h"
#include "device/ipip/ipip.h"
#include "device/peers.h"
#include "device/wireguard/session.h"

static void store(_Atomic uint64_t *place, uint64_t value)
{
	atomic_store_explicit(place, value, memory_order_relaxed);
}

/* Of this process's clock. 0 stays what it is: never. */
static uint64_t own_ms(const struct handover_restore *restore, uint64_t ms)
{
	int64_t moved = (int64_t)ms + restore->shift_ms;

	return ms == 0 ? 0 : moved < 1 ? 1 : (uint64_t)moved;
}

/* NULL: there is none left. */
static struct keypair *take_spare(struct handover_restore *restore)
{
	struct keypair *keypair = restore->spare;

	if (!keypair)
		return NULL;
	restore->spare = keypair->retired.next
				 ? hash_entry(keypair->retired.next, struct keypair, retired)
				 : NULL;
	keypair->retired.next = NULL;
	return keypair;
}

void handover_restore_free(struct handover_restore *restore)
{
	while (restore->spare)
		keypair_free(take_spare(restore));
	*restore = (struct handover_restore){0};
}

/* --- Configuration --- */

/*
 * While the other process still carries packets: for 10,000 sessions the kernel has to find 27 MB,
 * page by page.
 */
static int make_room(
	struct handover_restore *restore, struct wg_peer *peer, const struct handover_peer *record)
{
	if (record->has_session && !session_get(peer->wg, peer))
		return -ENOMEM;
	for (unsigned int i = 0; i < record->n_keypairs; i++) {
		struct keypair *keypair = keypair_new();

		if (!keypair)
			return -ENOMEM;
		keypair->retired.next = restore->spare ? &restore->spare->retired : NULL;
		restore->spare = keypair;
	}
	return 0;
}

static int restore_peer(struct handover_restore *restore, const struct handover_record *from)
{
	struct wg_peer *peer = NULL;
	struct handover_peer record;
	struct noise_remote remote;
	int error;

	handover_read(from, &record, sizeof record);
	remote = (struct noise_remote){
		.public_key = record.public_key, .static_static = record.static_static};
	error = device_adopt_peer(restore->device, &remote, &peer);
	if (error == 0) /* not by control_set_persistent(), which sends one */
		peer->persistent_s = record.persistent_s;
	if (error == 0 && record.has_preshared)
		error = control_set_preshared(peer, &record.preshared);
	if (error == 0)
		error = make_room(restore, peer, &record);
	explicit_bzero(&record, sizeof record);
	explicit_bzero(&remote, sizeof remote);
	restore->peer = peer;
	return error;
}

static int restore_allowed_ip(struct handover_restore *restore, const struct handover_record *from)
{
	struct handover_allowed_ip record;

	handover_read(from, &record, sizeof record);
	if (!restore->peer)
		return -EPROTO;
	return allowedips_insert(&restore->device->shared.inner, record.family, record.address,
		record.length, &restore->peer->target.inner);
}

static int restore_ipip_peer(struct handover_restore *restore, const struct handover_record *from)
{
	struct handover_ipip_peer record;

	handover_read(from, &record, sizeof record);
	return device_set_ipip_peer(
		restore->device, (struct in_addr){record.remote}, (struct in_addr){record.inner});
}

int handover_restore_peer(struct handover_restore *restore, const struct handover_record *record)
{
	switch (record->type) {
	case HANDOVER_PEER:
		return restore_peer(restore, record);
	case HANDOVER_ALLOWED_IP:
		return restore_allowed_ip(restore, record);
	case HANDOVER_IPIP_PEER:
		return restore_ipip_peer(restore, record);
	default:
		return -EPROTO;
	}
}

/* --- What packets change --- */

static int restore_counters(struct handover_restore *restore, const struct handover_record *from)
{
	struct device *device = restore->device;
	struct handover_counters record;
	unsigned int n = 0;

	handover_read(from, &record, sizeof record);
	for (unsigned int i = 0; handover_drops_place(device, i); i++)
		store(handover_drops_place(device, i), record.drops[n++]);
	for (unsigned int i = 0; handover_control_drops_place(device, i); i++)
		*handover_control_drops_place(device, i) = record.drops[n++];
	return 0;
}

static void settle_last(struct handover_restore *restore)
{
	if (restore->peer)
		session_settle(&restore->device->shared.wireguard, restore->peer);
	restore->peer = NULL;
}

static void restore_wg_state(struct handover_restore *restore, struct wg_peer *peer,
	const struct handover_peer_state *record)
{
	struct udp_endpoint endpoint;

	handover_endpoint_read(&record->endpoint, &endpoint);
	if (endpoint.family != AF_UNSPEC)
		peer_address_set(&peer->address, &endpoint);
	atomic_store(&peer->address.plain_left, record->plain ? REFUSAL_LASTS : 0);
	store(&peer->handshake_ns, record->handshake_ns);
	peer->initiation_ms = own_ms(restore, record->initiation_ms);
	memcpy(peer->timestamp, record->timestamp, sizeof peer->timestamp);
	if (record->requests != 0)
		shared_request(&restore->device->shared, peer, record->requests);
	restore->peer = peer;
}

static int restore_state(struct handover_restore *restore, const struct handover_record *from)
{
	struct handover_peer_state record;
	struct target *target = restore->target ? restore->target->next : restore->device->first;

	settle_last(restore);
	handover_read(from, &record, sizeof record);
	if (!target || record.number != restore->n_states)
		return -EPROTO;
	restore->target = target;
	restore->n_states++;
	store(&target->received, record.received);
	store(&target->sent, record.sent);
	if (target->kind == TARGET_WIREGUARD)
		restore_wg_state(restore, wg_peer_of(target), &record);
	else
		store(&ipip_peer_of(target)->active_ms, own_ms(restore, record.active_ms));
	return 0;
}

static int restore_session(struct handover_restore *restore, const struct handover_record *from)
{
	struct session *session = session_get(&restore->device->shared.wireguard, restore->peer);
	struct handover_session record;
	struct timers *timers;

	if (!session)
		return -ENOMEM;
	handover_read(from, &record, sizeof record);
	timers = &session->timers;
	store(&timers->unanswered_since, own_ms(restore, record.unanswered_since));
	store(&timers->owed_since, own_ms(restore, record.owed_since));
	store(&timers->traversed, own_ms(restore, record.traversed));
	store(&timers->wanted, own_ms(restore, record.wanted));
	timers->handshake_began = own_ms(restore, record.handshake_began);
	timers->initiation_sent = own_ms(restore, record.initiation_sent);
	timers->retransmit_at = own_ms(restore, record.retransmit_at);
	timers->zero_at = own_ms(restore, record.zero_at);
	timers->jitter_ms = record.jitter_ms;
	session->jar.received_ms = own_ms(restore, record.cookie_received_ms);
	session->jar.has_cookie = record.has_cookie != 0;
	session->jar.has_sent_mac1 = record.has_sent_mac1 != 0;
	memcpy(session->jar.cookie, record.cookie, sizeof record.cookie);
	memcpy(session->jar.sent_mac1, record.sent_mac1, sizeof record.sent_mac1);
	return 0;
}

static void fill_keypair(const struct handover_restore *restore,
	const struct handover_keypair *record, struct keypair *keypair)
{
	keypair->entry.index = record->index;
	keypair->remote_index = record->remote_index;
	keypair->initiator = record->initiator != 0;
	keypair->peer = restore->peer;
	keypair->made_ms = own_ms(restore, record->made_ms);
	keypair->send = record->send;
	keypair->receive = record->receive;
	atomic_init(&keypair->rekey_asked, record->rekey_asked != 0);
	atomic_init(&keypair->confirmed, record->confirmed != 0);
	atomic_init(&keypair->send_counter, record->send_counter);
	replay_restore(&keypair->replay, record->newest, record->words,
		record->n_words < REPLAY_WORDS ? record->n_words : REPLAY_WORDS);
}

/* Into a place that is empty. */
static int place_keypair(struct keypairs *keypairs, uint8_t place, struct keypair *keypair)
{
	if (place == HANDOVER_CURRENT && !atomic_load(&keypairs->current))
		atomic_store(&keypairs->current, keypair);
	else if (place == HANDOVER_PREVIOUS && !keypairs->previous)
		keypairs->previous = keypair;
	else if (place == HANDOVER_NEXT && !atomic_load(&keypairs->next))
		atomic_store(&keypairs->next, keypair);
	else
		return -EPROTO;
	return 0;
}

static int restore_keypair(struct handover_restore *restore, const struct handover_record *from)
{
	struct index_table *indices = &restore->device->shared.wireguard.indices;
	struct session *session = session_of(restore->peer);
	struct keypair *keypair = session ? take_spare(restore) : NULL;
	struct handover_keypair record;
	int error;

	if (session && !keypair)
		keypair = keypair_new();
	if (!keypair)
		return session ? -ENOMEM : -EPROTO;
	handover_read(from, &record, sizeof record);
	fill_keypair(restore, &record, keypair);
	error = index_adopt(indices, &keypair->entry);
	if (error == 0) {
		error = place_keypair(&session->keypairs, record.place, keypair);
		if (error < 0)
			index_remove(indices, &keypair->entry);
	}
	explicit_bzero(&record, sizeof record);
	if (error < 0)
		keypair_free(keypair);
	return error;
}

static int fill_pending(const struct handover_pending *record, struct pending_handshake *pending)
{
	struct handshake *handshake = &pending->handshake;
	struct key public_key;

	pending->entry = (struct index_entry){record->index, INDEX_HANDSHAKE};
	memcpy(handshake->chaining_key, record->chaining_key, sizeof record->chaining_key);
	memcpy(handshake->hash, record->hash, sizeof record->hash);
	handshake->remote_ephemeral = record->remote_ephemeral;
	handshake->remote_static = record->remote_static;
	handshake->remote_index = record->remote_index;
	handshake->ephemeral = curve_key_new(&record->ephemeral, &public_key);
	return handshake->ephemeral ? 0 : -EIO;
}

static int restore_pending(struct handover_restore *restore, const struct handover_record *from)
{
	struct session *session = session_of(restore->peer);
	struct pending_handshake *pending =
		session && !session->pending ? calloc(1, sizeof *pending) : NULL;
	struct handover_pending record;
	int error;

	if (!pending)
		return session ? -ENOMEM : -EPROTO;
	handover_read(from, &record, sizeof record);
	pending->peer = restore->peer;
	error = fill_pending(&record, pending);
	explicit_bzero(&record, sizeof record);
	if (error == 0)
		error = index_adopt(&restore->device->shared.wireguard.indices, &pending->entry);
	if (error == 0) {
		session->pending = pending;
	} else {
		handshake_wipe(&pending->handshake);
		free(pending);
	}
	return error;
}

static int restore_staged(struct handover_restore *restore, const struct handover_record *from)
{
	struct virtio_net_hdr header;
	struct handover_staged record;
	size_t length;
	const uint8_t *data = handover_behind(from, sizeof record, &length);

	handover_read(from, &record, sizeof record);
	memcpy(&header, record.header, sizeof header);
	if (!data)
		return -EPROTO;
	staged_packets_add(&restore->device->shared.staged, restore->peer, &header, data, length);
	return 0;
}

/* As many as there is room for: the rest is lost as if on the way. */
static int restore_handshake(struct handover_restore *restore, const struct handover_record *from)
{
	struct device *device = restore->device;
	struct handover_handshake record;
	struct udp_endpoint source;
	bool wake = false;
	size_t length;
	const uint8_t *data = handover_behind(from, sizeof record, &length);

	handover_read(from, &record, sizeof record);
	handover_endpoint_read(&record.from, &source);
	if (!data)
		return -EPROTO;
	handoff_write(&device->workers[restore->at_worker++ % device->n_workers].receiver.handoff,
		&source, data, length, &wake);
	if (wake)
		shared_wake(&device->shared);
	return 0;
}

int handover_restore_session(struct handover_restore *restore, const struct handover_record *record)
{
	if (record->type >= HANDOVER_SESSION && record->type <= HANDOVER_STAGED && !restore->peer)
		return -EPROTO;
	switch (record->type) {
	case HANDOVER_COUNTERS:
		return restore_counters(restore, record);
	case HANDOVER_PEER_STATE:
		return restore_state(restore, record);
	case HANDOVER_SESSION:
		return restore_session(restore, record);
	case HANDOVER_KEYPAIR:
		return restore_keypair(restore, record);
	case HANDOVER_PENDING:
		return restore_pending(restore, record);
	case HANDOVER_STAGED:
		return restore_staged(restore, record);
	case HANDOVER_HANDSHAKE:
		return restore_handshake(restore, record);
	default:
		return -EPROTO;
	}
}

void handover_restore_end(struct handover_restore *restore)
{
	settle_last(restore);
}
