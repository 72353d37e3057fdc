/* ChaCha20's rounds, for what the library does not offer: a single block, and HChaCha20. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	CHACHA20_KEY = 32,
	CHACHA20_BLOCK = 64,
};

/* How many blocks n bytes take, the last one filled up. */
static inline size_t chacha20_blocks(size_t n)
{
	return (n + CHACHA20_BLOCK - 1) / CHACHA20_BLOCK;
}

/* RFC 8439, 2.3, with WireGuard's nonce: a block of the key stream. */
void chacha20_block(const uint8_t key[CHACHA20_KEY], uint32_t block, uint64_t counter,
	uint8_t out[CHACHA20_BLOCK]);

/* draft-irtf-cfrg-xchacha-03, 2.2: a subkey of a key and 16 bytes of the nonce. */
void hchacha20(
	const uint8_t key[CHACHA20_KEY], const uint8_t nonce[16], uint8_t subkey[CHACHA20_KEY]);
