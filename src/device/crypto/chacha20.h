/*
 * ChaCha20's rounds: for what the library does not offer, and for short messages, which are done
 * before the library's code has been fetched from memory (aead.h).
 */
#pragma once

#include <stdint.h>

#include "device/crypto/aead.h"

enum { CHACHA20_BLOCK = 64 };

/* RFC 8439, 2.3, with WireGuard's nonce: a block of the key stream. */
void chacha20_block(
	const struct aead_key *key, uint32_t block, uint64_t counter, uint8_t out[CHACHA20_BLOCK]);

/* draft-irtf-cfrg-xchacha-03, 2.2: a subkey of a key and 16 bytes of the nonce. */
void hchacha20(const struct aead_key *key, const uint8_t nonce[16], struct aead_key *subkey);
