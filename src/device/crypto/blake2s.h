/*
 * BLAKE2s (RFC 7693) in the ways WireGuard uses it (paper, 5.4): HASH, MAC, HMAC and KDF. A context
 * belongs to one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	BLAKE2S_SIZE = 32,
	BLAKE2S_BLOCK = 64,
	BLAKE2S_MAC_SIZE = 16, /* of the keyed hash that WireGuard calls MAC */
};

struct blake2s;

/* NULL with errno ENOMEM or EIO. As aead_new(), it comes before a sandbox. */
struct blake2s *blake2s_new(void);
void blake2s_free(struct blake2s *blake2s);

/* All return 0 or -EIO (the library fails). */

/* HASH(a || b); b may be NULL if its length is 0. out may be a or b. */
int blake2s_hash(struct blake2s *blake2s, const void *a, size_t a_length, const void *b,
	size_t b_length, uint8_t out[BLAKE2S_SIZE]);

/* MAC: keyed BLAKE2s of 16 bytes, key of up to 32 bytes. */
int blake2s_mac(struct blake2s *blake2s, const void *key, size_t key_length, const void *input,
	size_t length, uint8_t out[BLAKE2S_MAC_SIZE]);

/* HMAC (RFC 2104) over BLAKE2s; key of 32 bytes. */
int blake2s_hmac(struct blake2s *blake2s, const uint8_t key[BLAKE2S_SIZE], const void *input,
	size_t length, uint8_t out[BLAKE2S_SIZE]);

/* KDF1, KDF2 and KDF3: as many outputs as are not NULL, from the first on. Any of them may be key.
 */
int blake2s_kdf(struct blake2s *blake2s, const uint8_t key[BLAKE2S_SIZE], const void *input,
	size_t length, uint8_t *t1, uint8_t *t2, uint8_t *t3);
