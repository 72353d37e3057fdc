/* Poly1305 (RFC 8439, 2.5) of whole blocks, as the AEAD has them: for short messages. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	POLY1305_KEY = 32,
	POLY1305_BLOCK = 16,
};

struct poly1305 {
	uint64_t r[2], s[2]; /* the key, least significant first */
	uint64_t h[3]; /* the sum so far: less than 2^131 */
};

void poly1305_begin(struct poly1305 *poly, const uint8_t key[POLY1305_KEY]);
void poly1305_add(struct poly1305 *poly, const uint8_t *data, size_t n_blocks);
/* The sum so far was made elsewhere: low52 + middle52 * 2^52 + above * 2^104, less than 2^131. */
void poly1305_set(struct poly1305 *poly, uint64_t low52, uint64_t middle52, uint64_t above);
/* Wipes it. */
void poly1305_end(struct poly1305 *poly, uint8_t tag[POLY1305_BLOCK]);
