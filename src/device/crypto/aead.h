/*
 * ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonce: 32 zero bits, then the counter,
 * little-endian (paper, 5.4); and XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) for cookies. One
 * message at a time: aead_batch.h is for many.
 *
 * A context belongs to one thread and is used again for every message: nothing is allocated, and
 * the key is only set up when it differs from the last one's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	AEAD_KEY_SIZE = 32,
	AEAD_TAG_SIZE = 16,
	AEAD_XNONCE_SIZE = 24, /* of XChaCha20 */
};

struct aead_key {
	uint8_t bytes[AEAD_KEY_SIZE];
};

struct aead;

/* NULL with errno ENOMEM or EIO (the library has no such cipher). Does all that needs files or
 * memory: afterwards nothing is opened, so it comes before a sandbox. */
struct aead *aead_new(void);
void aead_free(struct aead *aead);

/*
 * Seals n bytes into out, which has room for n + AEAD_TAG_SIZE; in and out may be the same but not
 * overlap otherwise. ad may be NULL if ad_length is 0. Returns 0, -EMSGSIZE (over 64 KiB) or -EIO
 * (the library fails).
 */
int aead_seal(struct aead *aead, const struct aead_key *key, uint64_t counter, const void *ad,
	size_t ad_length, const uint8_t *in, size_t n, uint8_t *out);

/*
 * Opens n bytes, tag included, into out, which has room for n - AEAD_TAG_SIZE; in and out may be
 * the same. Returns 0, -EBADMSG (not authentic, or shorter than a tag; out is as it was), -EMSGSIZE
 * or -EIO.
 */
int aead_open(struct aead *aead, const struct aead_key *key, uint64_t counter, const void *ad,
	size_t ad_length, const uint8_t *in, size_t n, uint8_t *out);

/* Overwrites the key that the context still holds. To be called when a sleep is long, or before one
 * that may be. */
void aead_forget(struct aead *aead);

/* With a random nonce of 24 bytes. As aead_seal() and aead_open(). */
int aead_xseal(struct aead *aead, const struct aead_key *key, const uint8_t nonce[AEAD_XNONCE_SIZE],
	const void *ad, size_t ad_length, const uint8_t *in, size_t n, uint8_t *out);
int aead_xopen(struct aead *aead, const struct aead_key *key, const uint8_t nonce[AEAD_XNONCE_SIZE],
	const void *ad, size_t ad_length, const uint8_t *in, size_t n, uint8_t *out);
