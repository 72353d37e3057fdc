/*
 * mac1, mac2 and cookies (paper, 5.3, 5.4.4 and 5.4.7): who does not know our public key gets no
 * work out of us, and under load who cannot receive at its source address gets none but a cookie.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"
#include "device/crypto/aead.h"
#include "device/crypto/blake2s.h"
#include "device/io/udp_endpoint.h"
#include "device/wireguard/messages.h"
#include "device/wireguard/noise.h"

enum {
	COOKIE_SECRET_LIFETIME_MS = 120 * 1000, /* of the responder's secret, and of a cookie */
	COOKIE_LATENCY_MS = 5 * 1000, /* the sender stops using a cookie that much earlier */
};

/* The keys of a public key: messages to its owner, and cookies from it. */
struct cookie_keys {
	uint8_t mac1[BLAKE2S_SIZE];
	struct aead_key cookie;
};
int cookie_keys_init(
	struct cookie_keys *keys, struct blake2s *blake2s, const struct key *public_key);

/* The responder's side: the control thread's. */
struct cookie_checker {
	struct cookie_keys keys; /* of our own public key */
	uint8_t secret[BLAKE2S_SIZE];
	uint64_t secret_made_ms;
	bool has_secret;
	noise_random_fn *random;
};

int cookie_checker_init(struct cookie_checker *checker, struct blake2s *blake2s,
	const struct key *public_key, noise_random_fn *random);

/* Of a handshake message; its last bytes are its macs. True: the sender knows our public key. Any
 * thread may ask with a context of its own: the keys are only read. */
bool cookie_check_mac1(const struct cookie_keys *keys, struct blake2s *blake2s,
	const uint8_t *message, size_t length);
/* True: it also receives what is sent to where it sent from. */
bool cookie_check_mac2(struct cookie_checker *checker, struct blake2s *blake2s,
	const uint8_t *message, size_t length, const struct udp_endpoint *source, uint64_t now_ms);

/* The answer to a message that has a valid mac1 but no valid mac2. Returns 0 or -EIO. */
int cookie_create_reply(struct cookie_checker *checker, struct blake2s *blake2s, struct aead *aead,
	const uint8_t *message, size_t length, const struct udp_endpoint *source, uint64_t now_ms,
	struct message_cookie *reply);

/* The initiator's (or any sender's) side: what a peer has sent us last. Part of a session. */
struct cookie_jar {
	uint8_t cookie[BLAKE2S_MAC_SIZE];
	uint8_t sent_mac1[BLAKE2S_MAC_SIZE]; /* of the last message: the reply's additional data */
	uint64_t received_ms;
	bool has_cookie;
	bool has_sent_mac1;
};

/* Fills in the macs of a handshake message to the owner of the keys. */
int cookie_add_macs(struct cookie_jar *jar, const struct cookie_keys *keys, struct blake2s *blake2s,
	uint8_t *message, size_t length, uint64_t now_ms);

/* Returns 0, or -EBADMSG if it is no answer to what we sent last. */
int cookie_consume_reply(struct cookie_jar *jar, const struct cookie_keys *keys, struct aead *aead,
	const struct message_cookie *reply, uint64_t now_ms);
