/*
 * Handshake messages: what is sent when, and what is done with those that come (paper, 5 and 6).
 * Runs in the control thread.
 */
#include "device/wireguard/handshake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/wireguard/session.h"

enum {
	/* Of one peer, one in so many ms is answered: each costs three agreements. */
	INITIATION_INTERVAL_MS = 20,
};

static uint64_t now_of(const struct wireguard *wg)
{
	return clock_now_ms(wg->clock);
}

static uint16_t random_jitter(struct wireguard *wg)
{
	uint16_t jitter = 0;

	/* Without randomness there is none: the handshake will fail for want of it anyway. */
	if (wg->noise.random(&jitter, sizeof jitter) != 0)
		return 0;
	return jitter % (REKEY_TIMEOUT_JITTER_MS + 1);
}

/* Adds the macs and sends. What cannot be sent is lost as if on the way. */
static void send_handshake(
	struct wireguard *wg, struct session *session, uint8_t *message, size_t length)
{
	struct wg_peer *peer = session->peer;
	uint64_t now = now_of(wg);
	struct cookie_keys keys;

	if (cookie_keys_init(&keys, wg->noise.blake2s, &peer->remote.public_key) == 0 &&
		cookie_add_macs(&session->jar, &keys, wg->noise.blake2s, message, length, now) ==
			0) {
		timers_record_sent(&session->timers, false, now);
		wg->ops->send(wg->context, peer, message, length);
	}
	explicit_bzero(&keys, sizeof keys);
}

/* --- Out --- */

static struct pending_handshake *pending_new(struct wireguard *wg, struct wg_peer *peer)
{
	struct pending_handshake *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return NULL;
	pending->peer = peer;
	pending->entry.kind = INDEX_HANDSHAKE;
	if (index_choose(&wg->indices, &pending->entry.index) != 0) {
		free(pending);
		return NULL;
	}
	return pending;
}

static bool has_address(const struct wg_peer *peer)
{
	struct udp_endpoint address;

	peer_address_get(&peer->address, &address);
	return address.family != AF_UNSPEC;
}

void handshake_initiate(struct wireguard *wg, struct wg_peer *peer)
{
	struct session *session = session_get(wg, peer);
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct message_initiation message;
	struct pending_handshake *pending;
	int error;

	if (!session)
		return;
	timers_initiation_sent(&session->timers, now_of(wg), random_jitter(wg));
	session->had_nowhere = !has_address(peer);
	session_drop_pending(wg, session);
	pending = pending_new(wg, peer);
	if (!pending)
		return; /* tried again as if it were lost */
	noise_timestamp(timestamps_next(&wg->timestamps, wg->wall_ns(), now_of(wg)), timestamp);
	error = noise_create_initiation(&wg->noise, &peer->remote, pending->entry.index, timestamp,
		&pending->handshake, &message);
	if (error) {
		free(pending);
		if (error != -EIO)
			timers_end_handshake(&session->timers); /* a key is missing or bad */
		return;
	}
	session->pending = pending;
	index_publish(&wg->indices, &pending->entry);
	send_handshake(wg, session, (uint8_t *)&message, sizeof message);
}

void handshake_begin(struct wireguard *wg, struct wg_peer *peer)
{
	struct session *session = wg->up ? session_get(wg, peer) : NULL;

	if (!session)
		return;
	/* An initiation that had nowhere to go was none: the next one need not wait (6.1). */
	if (timers_begin_handshake(&session->timers, now_of(wg)) ||
		(session->had_nowhere && has_address(peer)))
		handshake_initiate(wg, peer);
}

void handshake_keepalive(struct wireguard *wg, struct wg_peer *peer)
{
	struct {
		struct message_transport header;
		uint8_t tag[AEAD_TAG_SIZE];
	} message = {.header.type = MESSAGE_TRANSPORT};
	uint64_t now = now_of(wg), counter;
	struct keypair *keypair = wg_peer_sending_key(peer, now);

	if (!keypair || !keypair_reserve(keypair, 1, &counter)) {
		handshake_begin(wg, peer);
		return;
	}
	message.header.receiver = le32_make(keypair->remote_index);
	message.header.counter = le64_make(counter);
	if (aead_seal(wg->noise.aead, &keypair->send, counter, NULL, 0, NULL, 0, message.tag))
		return;
	wg_peer_record_sent(peer, false, now);
	wg->ops->send(wg->context, peer, &message, sizeof message);
	if (keypair_rekey_after_send(keypair, now))
		handshake_begin(wg, peer);
}

/* --- In --- */

/* A session is ready for both sides. */
static void confirmed(struct wireguard *wg, struct session *session, bool must_send)
{
	struct wg_peer *peer = session->peer;

	timers_session_confirmed(&session->timers);
	atomic_store_explicit(&peer->handshake_ns, wg->wall_ns(), memory_order_relaxed);
	if (!wg->ops->ready(wg->context, peer) && must_send)
		handshake_keepalive(wg, peer);
}

void handshake_confirm(struct wireguard *wg, struct wg_peer *peer)
{
	struct session *session = session_of(peer);

	if (!session || !keypairs_rotate(&session->keypairs, &wg->indices))
		return;
	/* Where both sides began at once, this session does for both. */
	session_drop_pending(wg, session);
	confirmed(wg, session, false);
}

static struct keypair *keypair_for(struct wireguard *wg, struct wg_peer *peer, bool initiator)
{
	struct keypair *keypair = keypair_new();

	if (!keypair)
		return NULL;
	keypair->peer = peer;
	keypair->initiator = initiator;
	keypair->made_ms = now_of(wg);
	atomic_init(&keypair->confirmed, initiator);
	return keypair;
}

/* An authentic handshake message of this length has come. */
static void heard(struct wireguard *wg, struct session *session, const struct udp_endpoint *source,
	size_t length)
{
	struct wg_peer *peer = session->peer;

	session->had_nowhere = false;
	timers_record_received(&session->timers, false, now_of(wg));
	atomic_fetch_add_explicit(&peer->target.received, length, memory_order_relaxed);
	peer_address_update(&peer->address, source);
}

static int respond(struct wireguard *wg, struct session *session, struct handshake *handshake)
{
	struct wg_peer *peer = session->peer;
	struct keypair *keypair = keypair_for(wg, peer, false);
	struct message_response response;
	int error = keypair ? 0 : -ENOMEM;

	if (!error)
		error = index_choose(&wg->indices, &keypair->entry.index);
	if (!error)
		error = noise_create_response(
			&wg->noise, &peer->remote, keypair->entry.index, handshake, &response);
	if (error)
		goto out;
	keypair->remote_index = handshake->remote_index;
	error = noise_derive(&wg->noise, handshake, false, &keypair->send, &keypair->receive);
	if (error)
		goto out;
	index_publish(&wg->indices, &keypair->entry);
	keypairs_install(&session->keypairs, &wg->indices, keypair);
	timers_session_made(&session->timers, now_of(wg));
	send_handshake(wg, session, (uint8_t *)&response, sizeof response);
	return 0;
out:
	keypair_free(keypair);
	return error;
}

/* 5.1: each initiation is later than the last. */
static bool is_fresh(
	struct wireguard *wg, struct wg_peer *peer, const uint8_t timestamp[TIMESTAMP_SIZE])
{
	uint64_t now = now_of(wg);

	if (memcmp(timestamp, peer->timestamp, TIMESTAMP_SIZE) <= 0) {
		wg->dropped.replayed++;
		return false;
	}
	if (peer->initiation_ms && now < peer->initiation_ms + INITIATION_INTERVAL_MS) {
		wg->dropped.limited++;
		return false;
	}
	memcpy(peer->timestamp, timestamp, TIMESTAMP_SIZE);
	peer->initiation_ms = now;
	return true;
}

static void handle_initiation(struct wireguard *wg, const struct message_initiation *message,
	const struct udp_endpoint *source)
{
	struct handshake handshake = {0};
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct session *session;
	struct wg_peer *peer;

	if (noise_open_initiation(&wg->noise, message, &handshake) != 0) {
		wg->dropped.forged++;
		return;
	}
	peer = wireguard_find_peer(wg, &handshake.remote_static);
	if (!peer || key_equal(&handshake.remote_static, &wg->noise.public_key)) {
		wg->dropped.unknown++;
		goto out;
	}
	if (noise_prove_initiation(&wg->noise, &peer->remote, message, &handshake, timestamp) !=
		0) {
		wg->dropped.forged++;
		goto out;
	}
	if (!is_fresh(wg, peer, timestamp))
		goto out;
	session = session_get(wg, peer);
	if (session) {
		heard(wg, session, source, sizeof *message);
		respond(wg, session, &handshake);
		session_settle(wg, peer);
	}
out:
	handshake_wipe(&handshake);
}

/* The session that the response has made. */
static int complete(
	struct wireguard *wg, struct session *session, struct pending_handshake *pending)
{
	struct keypair *keypair = keypair_for(wg, session->peer, true);
	int error;

	if (!keypair)
		return -ENOMEM;
	keypair->remote_index = pending->handshake.remote_index;
	error = noise_derive(
		&wg->noise, &pending->handshake, true, &keypair->send, &keypair->receive);
	if (error) {
		keypair_free(keypair);
		return error;
	}
	index_replace(&wg->indices, &pending->entry, &keypair->entry);
	session_drop_pending(wg, session);
	keypairs_install(&session->keypairs, &wg->indices, keypair);
	timers_session_made(&session->timers, now_of(wg));
	return 0;
}

static void handle_response(struct wireguard *wg, const struct message_response *message,
	const struct udp_endpoint *source)
{
	struct index_entry *entry = index_lookup(&wg->indices, le32_get(message->receiver));
	struct pending_handshake *pending;
	struct session *session;

	if (!entry || entry->kind != INDEX_HANDSHAKE) {
		wg->dropped.malformed++;
		return;
	}
	pending = hash_entry(entry, struct pending_handshake, entry);
	session = session_of(pending->peer);
	if (noise_consume_response(
		    &wg->noise, &pending->peer->remote, message, &pending->handshake) != 0) {
		wg->dropped.forged++;
		return;
	}
	heard(wg, session, source, sizeof *message);
	if (complete(wg, session, pending) == 0)
		confirmed(wg, session, true); /* the responder waits for a first packet */
	session_settle(wg, session->peer);
}

static void handle_cookie(struct wireguard *wg, const struct message_cookie *message)
{
	struct index_entry *entry = index_lookup(&wg->indices, le32_get(message->receiver));
	struct cookie_keys keys;
	struct session *session;
	struct wg_peer *peer;

	if (!entry) {
		wg->dropped.malformed++;
		return;
	}
	/* To our initiation, or to our response. */
	peer = entry->kind == INDEX_HANDSHAKE
		       ? hash_entry(entry, struct pending_handshake, entry)->peer
		       : keypair_of(entry)->peer;
	session = session_of(peer);
	if (cookie_keys_init(&keys, wg->noise.blake2s, &peer->remote.public_key) != 0 ||
		cookie_consume_reply(&session->jar, &keys, wg->noise.aead, message, now_of(wg)) !=
			0)
		wg->dropped.forged++;
	explicit_bzero(&keys, sizeof keys);
}

static void send_cookie(struct wireguard *wg, const uint8_t *message, size_t length,
	const struct udp_endpoint *source)
{
	struct message_cookie reply;

	wg->dropped.cookies++;
	if (cookie_create_reply(&wg->checker, wg->noise.blake2s, wg->noise.aead, message, length,
		    source, now_of(wg), &reply) == 0)
		wg->ops->answer(wg->context, source, &reply, sizeof reply);
}

/*
 * Who answers an initiation of ours is one that we have asked, or has seen what we sent: the first
 * answer to each needs no cookie, so that load from handshakes that we begin does not keep their
 * answers out (for REKEY_TIMEOUT). It costs no more than the initiation did.
 */
static bool is_first_answer(struct wireguard *wg, const struct message_response *message)
{
	struct index_entry *entry = index_lookup(&wg->indices, le32_get(message->receiver));
	struct pending_handshake *pending;

	if (!entry || entry->kind != INDEX_HANDSHAKE)
		return false;
	pending = hash_entry(entry, struct pending_handshake, entry);
	if (pending->had_answer)
		return false;
	pending->had_answer = true;
	return true;
}

/* 5.3: under load, what a handshake message must have before any agreement is computed for it. */
static bool admit(struct wireguard *wg, const uint8_t *message, size_t length,
	const struct udp_endpoint *source, bool under_load)
{
	struct blake2s *blake2s = wg->noise.blake2s;
	uint64_t now = now_of(wg);

	if (!under_load)
		return true;
	if (!cookie_check_mac2(&wg->checker, blake2s, message, length, source, now)) {
		send_cookie(wg, message, length, source);
		return false;
	}
	if (!ratelimiter_allow(wg->limiter, source, now)) {
		wg->dropped.limited++;
		return false;
	}
	return true;
}

void handshake_receive(struct wireguard *wg, const uint8_t *datagram, size_t length,
	const struct udp_endpoint *source, bool under_load)
{
	int type = messages_type(datagram, length);

	if (!wg->up || !wg->noise.private_key)
		return;
	switch (type) {
	case MESSAGE_INITIATION:
		if (admit(wg, datagram, length, source, under_load))
			handle_initiation(wg, (const struct message_initiation *)datagram, source);
		break;
	case MESSAGE_RESPONSE:
		if ((under_load &&
			    is_first_answer(wg, (const struct message_response *)datagram)) ||
			admit(wg, datagram, length, source, under_load))
			handle_response(wg, (const struct message_response *)datagram, source);
		break;
	case MESSAGE_COOKIE:
		handle_cookie(wg, (const struct message_cookie *)datagram);
		break;
	default:
		wg->dropped.malformed++;
	}
}
