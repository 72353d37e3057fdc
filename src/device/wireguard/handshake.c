#include "device/wireguard/handshake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/wireguard/session.h"

enum {
	/* Of one peer, one in so many ms is answered: each costs three agreements. */
	INITIATION_INTERVAL_MS = 20,
};

static uint64_t now_of(const struct control *control)
{
	return clock_now_ms(control->clock);
}

static uint16_t random_jitter(struct control *control)
{
	uint16_t jitter = 0;

	/* Without randomness there is none: the handshake will fail for want of it anyway. */
	if (control->noise.random(&jitter, sizeof jitter) != 0)
		return 0;
	return jitter % (REKEY_TIMEOUT_JITTER_MS + 1);
}

/* Adds the macs and sends. What cannot be sent is lost as if on the way. */
static void send_handshake(
	struct control *control, struct session *session, uint8_t *message, size_t length)
{
	struct peer *peer = session->peer;
	uint64_t now = now_of(control);
	struct cookie_keys keys;

	if (cookie_keys_init(&keys, control->noise.blake2s, &peer->remote.public_key) == 0 &&
		cookie_add_macs(
			&session->jar, &keys, control->noise.blake2s, message, length, now) == 0) {
		timers_note_sent(&session->timers, false, now);
		control->ops->send(control->context, peer, message, length);
	}
	explicit_bzero(&keys, sizeof keys);
}

/* --- Out --- */

static struct attempt *attempt_new(struct control *control, struct peer *peer)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (!attempt)
		return NULL;
	attempt->peer = peer;
	attempt->entry.kind = INDEX_HANDSHAKE;
	if (index_choose(&control->indices, &attempt->entry.index) != 0) {
		free(attempt);
		return NULL;
	}
	return attempt;
}

void exchange_initiate(struct control *control, struct peer *peer)
{
	struct session *session = session_get(control, peer);
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct message_initiation message;
	struct attempt *attempt;
	int error;

	if (!session)
		return;
	timers_initiation_sent(&session->timers, now_of(control), random_jitter(control));
	session_drop_attempt(control, session);
	attempt = attempt_new(control, peer);
	if (!attempt)
		return; /* tried again as if it were lost */
	noise_timestamp(control->wall_ns(), timestamp);
	error = noise_create_initiation(&control->noise, &peer->remote, attempt->entry.index,
		timestamp, &attempt->handshake, &message);
	if (error) {
		free(attempt);
		if (error != -EIO)
			timers_end_handshake(&session->timers); /* a key is missing or bad */
		return;
	}
	session->attempt = attempt;
	index_publish(&control->indices, &attempt->entry);
	send_handshake(control, session, (uint8_t *)&message, sizeof message);
}

void exchange_begin(struct control *control, struct peer *peer)
{
	struct session *session = control->up ? session_get(control, peer) : NULL;

	if (session && timers_begin_handshake(&session->timers, now_of(control)))
		exchange_initiate(control, peer);
}

void exchange_keepalive(struct control *control, struct peer *peer)
{
	struct {
		struct message_transport header;
		uint8_t tag[AEAD_TAG_SIZE];
	} message = {.header.type = MESSAGE_TRANSPORT};
	uint64_t now = now_of(control), counter;
	struct keypair *keypair = peer_sending_key(peer, now);

	if (!keypair || !keypair_reserve(keypair, 1, &counter)) {
		exchange_begin(control, peer);
		return;
	}
	message.header.receiver = le32_make(keypair->remote_index);
	message.header.counter = le64_make(counter);
	if (aead_seal(control->noise.aead, &keypair->send, counter, NULL, 0, NULL, 0, message.tag))
		return;
	peer_note_sent(peer, false, now);
	control->ops->send(control->context, peer, &message, sizeof message);
	if (keypair_rekey_after_send(keypair, now))
		exchange_begin(control, peer);
}

/* --- In --- */

/* A session is ready for both sides. */
static void confirmed(struct control *control, struct session *session, bool must_send)
{
	struct peer *peer = session->peer;

	timers_session_confirmed(&session->timers);
	atomic_store_explicit(&peer->handshake_ns, control->wall_ns(), memory_order_relaxed);
	if (!control->ops->ready(control->context, peer) && must_send)
		exchange_keepalive(control, peer);
}

void exchange_confirm(struct control *control, struct peer *peer)
{
	struct session *session = session_of(peer);

	if (!session || !keypairs_rotate(&session->keypairs, &control->indices))
		return;
	/* Where both sides began at once, this session does for both. */
	session_drop_attempt(control, session);
	confirmed(control, session, false);
}

static struct keypair *keypair_for(struct control *control, struct peer *peer, bool initiator)
{
	struct keypair *keypair = keypair_new();

	if (!keypair)
		return NULL;
	keypair->peer = peer;
	keypair->initiator = initiator;
	keypair->made_ms = now_of(control);
	atomic_init(&keypair->confirmed, initiator);
	return keypair;
}

/* An authentic handshake message has come. */
static void heard(struct control *control, struct session *session, const struct endpoint *source)
{
	timers_note_received(&session->timers, false, now_of(control));
	control->ops->moved(control->context, session->peer, source);
}

static int respond(struct control *control, struct session *session, struct handshake *handshake)
{
	struct peer *peer = session->peer;
	struct keypair *keypair = keypair_for(control, peer, false);
	struct message_response response;
	int error = keypair ? 0 : -ENOMEM;

	if (!error)
		error = index_choose(&control->indices, &keypair->entry.index);
	if (!error)
		error = noise_create_response(
			&control->noise, &peer->remote, keypair->entry.index, handshake, &response);
	if (error)
		goto out;
	keypair->remote_index = handshake->remote_index;
	error = noise_derive(&control->noise, handshake, false, &keypair->send, &keypair->receive);
	if (error)
		goto out;
	index_publish(&control->indices, &keypair->entry);
	keypairs_install(&session->keypairs, &control->indices, keypair);
	timers_session_made(&session->timers, now_of(control));
	send_handshake(control, session, (uint8_t *)&response, sizeof response);
	return 0;
out:
	keypair_free(keypair);
	return error;
}

/* 5.1: each initiation is later than the last. */
static bool is_fresh(
	struct control *control, struct peer *peer, const uint8_t timestamp[TIMESTAMP_SIZE])
{
	uint64_t now = now_of(control);

	if (memcmp(timestamp, peer->timestamp, TIMESTAMP_SIZE) <= 0) {
		control->dropped.replayed++;
		return false;
	}
	if (peer->initiation_ms && now < peer->initiation_ms + INITIATION_INTERVAL_MS) {
		control->dropped.limited++;
		return false;
	}
	memcpy(peer->timestamp, timestamp, TIMESTAMP_SIZE);
	peer->initiation_ms = now;
	return true;
}

static void handle_initiation(struct control *control, const struct message_initiation *message,
	const struct endpoint *source)
{
	struct handshake handshake = {0};
	uint8_t timestamp[TIMESTAMP_SIZE];
	struct session *session;
	struct peer *peer;

	if (noise_open_initiation(&control->noise, message, &handshake) != 0) {
		control->dropped.forged++;
		return;
	}
	peer = control_find_peer(control, &handshake.remote_static);
	if (!peer || key_equal(&handshake.remote_static, &control->noise.public_key)) {
		control->dropped.unknown++;
		goto out;
	}
	if (noise_prove_initiation(
		    &control->noise, &peer->remote, message, &handshake, timestamp) != 0) {
		control->dropped.forged++;
		goto out;
	}
	if (!is_fresh(control, peer, timestamp))
		goto out;
	session = session_get(control, peer);
	if (session) {
		heard(control, session, source);
		respond(control, session, &handshake);
		session_settle(control, peer);
	}
out:
	handshake_wipe(&handshake);
}

/* The session that an attempt's response has made. */
static int complete(struct control *control, struct session *session, struct attempt *attempt)
{
	struct keypair *keypair = keypair_for(control, session->peer, true);
	int error;

	if (!keypair)
		return -ENOMEM;
	keypair->remote_index = attempt->handshake.remote_index;
	error = noise_derive(
		&control->noise, &attempt->handshake, true, &keypair->send, &keypair->receive);
	if (error) {
		keypair_free(keypair);
		return error;
	}
	index_replace(&control->indices, &attempt->entry, &keypair->entry);
	session_drop_attempt(control, session);
	keypairs_install(&session->keypairs, &control->indices, keypair);
	timers_session_made(&session->timers, now_of(control));
	return 0;
}

static void handle_response(struct control *control, const struct message_response *message,
	const struct endpoint *source)
{
	struct index_entry *entry = index_lookup(&control->indices, le32_get(message->receiver));
	struct attempt *attempt;
	struct session *session;

	if (!entry || entry->kind != INDEX_HANDSHAKE) {
		control->dropped.malformed++;
		return;
	}
	attempt = hash_entry(entry, struct attempt, entry);
	session = session_of(attempt->peer);
	if (noise_consume_response(
		    &control->noise, &attempt->peer->remote, message, &attempt->handshake) != 0) {
		control->dropped.forged++;
		return;
	}
	heard(control, session, source);
	if (complete(control, session, attempt) == 0)
		confirmed(control, session, true); /* the responder waits for a first packet */
	session_settle(control, session->peer);
}

static void handle_cookie(struct control *control, const struct message_cookie *message)
{
	struct index_entry *entry = index_lookup(&control->indices, le32_get(message->receiver));
	struct cookie_keys keys;
	struct session *session;
	struct peer *peer;

	if (!entry) {
		control->dropped.malformed++;
		return;
	}
	/* To our initiation, or to our response. */
	peer = entry->kind == INDEX_HANDSHAKE ? hash_entry(entry, struct attempt, entry)->peer
					      : keypair_of(entry)->peer;
	session = session_of(peer);
	if (cookie_keys_init(&keys, control->noise.blake2s, &peer->remote.public_key) != 0 ||
		cookie_consume_reply(
			&session->jar, &keys, control->noise.aead, message, now_of(control)) != 0)
		control->dropped.forged++;
	explicit_bzero(&keys, sizeof keys);
}

static void send_cookie(struct control *control, const uint8_t *message, size_t length,
	const struct endpoint *source)
{
	struct message_cookie reply;

	control->dropped.cookies++;
	if (cookie_create_reply(&control->checker, control->noise.blake2s, control->noise.aead,
		    message, length, source, now_of(control), &reply) == 0)
		control->ops->answer(control->context, source, &reply, sizeof reply);
}

/* 5.3: under load, what a handshake message must have before any agreement is computed for it. */
static bool admit(struct control *control, const uint8_t *message, size_t length,
	const struct endpoint *source, bool under_load)
{
	struct blake2s *blake2s = control->noise.blake2s;
	uint64_t now = now_of(control);

	if (!under_load)
		return true;
	if (!cookie_check_mac2(&control->checker, blake2s, message, length, source, now)) {
		send_cookie(control, message, length, source);
		return false;
	}
	if (!ratelimiter_allow(control->limiter, source, now)) {
		control->dropped.limited++;
		return false;
	}
	return true;
}

void control_receive(struct control *control, const uint8_t *datagram, size_t length,
	const struct endpoint *source, bool under_load)
{
	int type = messages_type(datagram, length);

	if (!control->up || !control->noise.private_key)
		return;
	switch (type) {
	case MESSAGE_INITIATION:
		if (admit(control, datagram, length, source, under_load))
			handle_initiation(
				control, (const struct message_initiation *)datagram, source);
		break;
	case MESSAGE_RESPONSE:
		if (admit(control, datagram, length, source, under_load))
			handle_response(control, (const struct message_response *)datagram, source);
		break;
	case MESSAGE_COOKIE:
		handle_cookie(control, (const struct message_cookie *)datagram);
		break;
	default:
		control->dropped.malformed++;
	}
}
