/* mac1, mac2 and cookies. Runs in the control thread, but for mac1, which every worker checks. */
#include "device/wireguard/cookie.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

enum { LABEL_SIZE = 8 };

/* HASH(label || public key) */
static int labelled_hash(struct blake2s *blake2s, const char label[LABEL_SIZE],
	const struct key *public_key, uint8_t out[BLAKE2S_SIZE])
{
	return blake2s_hash(blake2s, label, LABEL_SIZE, public_key->bytes, KEY_SIZE, out);
}

int cookie_keys_init(
	struct cookie_keys *keys, struct blake2s *blake2s, const struct key *public_key)
{
	int error = labelled_hash(blake2s, "mac1----", public_key, keys->mac1);

	return error ? error : labelled_hash(blake2s, "cookie--", public_key, keys->cookie.bytes);
}

int cookie_checker_init(struct cookie_checker *checker, struct blake2s *blake2s,
	const struct key *public_key, noise_random_fn *random)
{
	*checker = (struct cookie_checker){.random = random};
	return cookie_keys_init(&checker->keys, blake2s, public_key);
}

/* What mac1 covers: all before it. mac2 covers mac1 as well. */
static size_t before_mac1(size_t length)
{
	return length - sizeof(struct message_macs);
}

static size_t before_mac2(size_t length)
{
	return length - BLAKE2S_MAC_SIZE;
}

static bool is_mac_of(struct blake2s *blake2s, const uint8_t *key, size_t key_length,
	const uint8_t *message, size_t covered)
{
	uint8_t mac[BLAKE2S_MAC_SIZE];

	return blake2s_mac(blake2s, key, key_length, message, covered, mac) == 0 &&
	       CRYPTO_memcmp(mac, message + covered, BLAKE2S_MAC_SIZE) == 0;
}

bool cookie_check_mac1(const struct cookie_keys *keys, struct blake2s *blake2s,
	const uint8_t *message, size_t length)
{
	return length > sizeof(struct message_macs) &&
	       is_mac_of(blake2s, keys->mac1, sizeof keys->mac1, message, before_mac1(length));
}

/* The secret changes every two minutes: R_m of 5.4.7. */
static int refresh_secret(struct cookie_checker *checker, uint64_t now_ms)
{
	int error;

	if (checker->has_secret && now_ms - checker->secret_made_ms < COOKIE_SECRET_LIFETIME_MS)
		return 0;
	error = checker->random(checker->secret, sizeof checker->secret);
	checker->has_secret = error == 0;
	checker->secret_made_ms = now_ms;
	return error;
}

/* tau = MAC(R_m, source) */
static int make_cookie(struct cookie_checker *checker, struct blake2s *blake2s,
	const struct udp_endpoint *source, uint64_t now_ms, uint8_t cookie[BLAKE2S_MAC_SIZE])
{
	uint8_t bytes[UDP_ENDPOINT_BYTES_MAX];
	size_t length = udp_endpoint_bytes(source, bytes);
	int error = refresh_secret(checker, now_ms);

	return error ? error
		     : blake2s_mac(blake2s, checker->secret, sizeof checker->secret, bytes, length,
			       cookie);
}

bool cookie_check_mac2(struct cookie_checker *checker, struct blake2s *blake2s,
	const uint8_t *message, size_t length, const struct udp_endpoint *source, uint64_t now_ms)
{
	uint8_t cookie[BLAKE2S_MAC_SIZE];

	return length > sizeof(struct message_macs) &&
	       make_cookie(checker, blake2s, source, now_ms, cookie) == 0 &&
	       is_mac_of(blake2s, cookie, sizeof cookie, message, before_mac2(length));
}

int cookie_create_reply(struct cookie_checker *checker, struct blake2s *blake2s, struct aead *aead,
	const uint8_t *message, size_t length, const struct udp_endpoint *source, uint64_t now_ms,
	struct message_cookie *reply)
{
	uint8_t cookie[BLAKE2S_MAC_SIZE];
	int error;

	*reply = (struct message_cookie){.type = MESSAGE_COOKIE};
	/* Both messages that have macs begin with type, reserved and sender. */
	memcpy(reply->receiver.bytes, message + offsetof(struct message_initiation, sender),
		sizeof reply->receiver.bytes);
	error = make_cookie(checker, blake2s, source, now_ms, cookie);
	if (!error)
		error = checker->random(reply->nonce, sizeof reply->nonce);
	if (!error)
		error = aead_xseal(aead, &checker->keys.cookie, reply->nonce,
			message + before_mac1(length), BLAKE2S_MAC_SIZE, cookie, sizeof cookie,
			reply->sealed_cookie);
	return error;
}

int cookie_add_macs(struct cookie_jar *jar, const struct cookie_keys *keys, struct blake2s *blake2s,
	uint8_t *message, size_t length, uint64_t now_ms)
{
	uint8_t *mac1 = message + before_mac1(length), *mac2 = message + before_mac2(length);
	int error = blake2s_mac(
		blake2s, keys->mac1, sizeof keys->mac1, message, before_mac1(length), mac1);

	if (error)
		return error;
	memcpy(jar->sent_mac1, mac1, BLAKE2S_MAC_SIZE);
	jar->has_sent_mac1 = true;
	if (jar->has_cookie &&
		now_ms - jar->received_ms >= COOKIE_SECRET_LIFETIME_MS - COOKIE_LATENCY_MS)
		jar->has_cookie = false;
	if (!jar->has_cookie) {
		memset(mac2, 0, BLAKE2S_MAC_SIZE);
		return 0;
	}
	return blake2s_mac(
		blake2s, jar->cookie, sizeof jar->cookie, message, before_mac2(length), mac2);
}

int cookie_consume_reply(struct cookie_jar *jar, const struct cookie_keys *keys, struct aead *aead,
	const struct message_cookie *reply, uint64_t now_ms)
{
	uint8_t cookie[BLAKE2S_MAC_SIZE];
	int error = -EBADMSG;

	if (jar->has_sent_mac1)
		error = aead_xopen(aead, &keys->cookie, reply->nonce, jar->sent_mac1,
			BLAKE2S_MAC_SIZE, reply->sealed_cookie, sizeof reply->sealed_cookie,
			cookie);
	if (error)
		return error;
	memcpy(jar->cookie, cookie, BLAKE2S_MAC_SIZE);
	jar->received_ms = now_ms;
	jar->has_cookie = true;
	jar->has_sent_mac1 = false; /* one answer to a message */
	return 0;
}
