/*
 * The handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (paper, 5.4.1 to 5.4.5): what is computed,
 * and nothing of who sends it when. One thread's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"
#include "device/crypto/aead.h"
#include "device/crypto/blake2s.h"
#include "device/crypto/curve.h"
#include "device/wireguard/messages.h"

/* What a test replaces. Returns 0 or -EIO. */
typedef int noise_random_fn(void *bytes, size_t length);
int noise_random(void *bytes, size_t length); /* getrandom(2) */

/* Our side. */
struct noise {
	struct curve_key *private_key; /* NULL: none set, every handshake fails with -ENOKEY */
	struct key public_key;
	/* HASH of the construction's name, and of that and the identifier: where every handshake
	 * begins. */
	uint8_t initial_chaining_key[BLAKE2S_SIZE];
	uint8_t initial_hash[BLAKE2S_SIZE];
	struct blake2s *blake2s;
	struct aead *aead;
	noise_random_fn *random;
};

/* What a handshake needs to know about the other side. */
struct noise_remote {
	struct key public_key;
	struct key static_static; /* DH of both static keys; all zeros while none was needed, and
				     for a public key of low order */
	const struct key *preshared; /* NULL: none, which is the same as all zeros */
};

/* Between two messages. Zeroed at first. Wiped by noise_derive(), or with handshake_wipe(). */
struct handshake {
	uint8_t chaining_key[BLAKE2S_SIZE];
	uint8_t hash[BLAKE2S_SIZE];
	struct curve_key *ephemeral; /* our private one; owned */
	struct key remote_ephemeral; /* their public one */
	struct key remote_static;
	uint32_t remote_index;
};

/* Does all that the library does at first use, so it comes before a sandbox. Returns 0 or -EIO. */
int noise_init(struct noise *noise, noise_random_fn *random);
void noise_free(struct noise *noise);
/* All zeros: none. Returns 0 or -EIO. The static_static of every remote must be zeroed. */
int noise_set_private_key(struct noise *noise, const struct key *private_key);

/* Fills static_static, where it is not filled, as a handshake does when it first needs it. Returns
 * 0, -EINVAL (the remote's key is of low order) or -EIO. */
int noise_agree_statics(struct noise *noise, struct noise_remote *remote);

/* 5.4.2, initiator. Fills all but the macs. sender is our index. Returns 0, -ENOKEY, -EINVAL (the
 * remote's key is of low order) or -EIO. */
int noise_create_initiation(struct noise *noise, struct noise_remote *remote, uint32_t sender,
	const uint8_t timestamp[TIMESTAMP_SIZE], struct handshake *handshake,
	struct message_initiation *message);

/*
 * 5.4.2, responder, in two steps: first who it claims to be (handshake->remote_static), which
 * must be looked up, then the proof, and the timestamp, which must be later than any seen from that
 * peer (5.1). Return 0, -EBADMSG if it is not authentic, -ENOKEY, -EIO.
 */
int noise_open_initiation(
	struct noise *noise, const struct message_initiation *message, struct handshake *handshake);
int noise_prove_initiation(struct noise *noise, struct noise_remote *remote,
	const struct message_initiation *message, struct handshake *handshake,
	uint8_t timestamp[TIMESTAMP_SIZE]);

/* 5.4.3, responder: after the initiation has been opened and proved. Fills all but the macs.
 * Returns 0, -EINVAL (the ephemeral is of low order) or -EIO. */
int noise_create_response(struct noise *noise, const struct noise_remote *remote, uint32_t sender,
	struct handshake *handshake, struct message_response *message);

/* 5.4.3, initiator. If it is not authentic (-EBADMSG) the handshake is as before, and the true
 * response may still come. */
int noise_consume_response(struct noise *noise, const struct noise_remote *remote,
	const struct message_response *message, struct handshake *handshake);

/* 5.4.5: the keys, after the response was created or consumed. Wipes the handshake. */
int noise_derive(struct noise *noise, struct handshake *handshake, bool initiator,
	struct aead_key *send, struct aead_key *receive);

void handshake_wipe(struct handshake *handshake);

/* Writes a TAI64N time (5.1) of this many ns since 1970. It is rounded down to about 17 ms, so as
 * not to tell the host's clock too exactly. Later times compare greater with memcmp(). */
void noise_timestamp(uint64_t unix_ns, uint8_t timestamp[TIMESTAMP_SIZE]);
