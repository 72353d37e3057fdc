/*
 * ChaCha20 and Poly1305 out of OpenSSL, each by itself: its AEAD cannot be told where a message's
 * one-time key is to come from. A context belongs to one thread; nothing is allocated after it was
 * made, and the key is only set up when it differs from the last one's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "device/crypto/chacha20.h"
#include "device/crypto/poly1305.h"

struct library;

/* NULL with errno ENOMEM or EIO (it has no such cipher). Does all that needs files or memory:
 * afterwards nothing is opened, so it comes before a sandbox. */
struct library *library_new(void);
void library_free(struct library *library);

/*
 * RFC 8439, 2.4, with WireGuard's nonce, from this block on: n bytes, in and out the same or apart.
 * A length that is no multiple of CHACHA20_BLOCK takes longer than the next one that is. Returns 0
 * or -EIO.
 */
int library_stream(struct library *library, const uint8_t key[CHACHA20_KEY], uint64_t counter,
	uint32_t block, const uint8_t *in, size_t n, uint8_t *out);

/* RFC 8439, 2.5, over two pieces, of which the first is of whole blocks. Returns 0 or -EIO. */
int library_mac(struct library *library, const uint8_t key[POLY1305_KEY], const uint8_t *first,
	size_t n_first, const uint8_t *second, size_t n_second, uint8_t tag[POLY1305_BLOCK]);

/* Overwrites the keys that it still holds. */
void library_forget(struct library *library);
