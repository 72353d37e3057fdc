/*
 * ChaCha20 (RFC 8439, 2.4) of one message with AVX2, and meanwhile Poly1305 (2.5) of another one's
 * sealed bytes: the one takes a processor's vectors, the other its multiplier of 64 bits, which
 * waits for its last result most of the time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "device/crypto/chacha20.h"
#include "device/crypto/poly1305.h"

#ifdef __x86_64__

/* Sealed bytes that a tag is made of meanwhile: whole blocks. */
struct poly1305_beside {
	struct poly1305 poly;
	const uint8_t *data;
	size_t n_blocks; /* that are left */
};

/*
 * With WireGuard's nonce: whole blocks from block 1 on, in and out the same or apart. The one-time
 * key, out of block 0, is not made where that is NULL. As many blocks of the other message as there
 * is time for, 30 for each eight of this one, are added to its sum; they do not lie in out. Only
 * where the processor has AVX2 and BMI2.
 */
void chacha20_poly1305_avx2(const uint8_t key[CHACHA20_KEY], uint64_t counter, const uint8_t *in,
	size_t n_blocks, uint8_t *out, uint8_t one_time_key[POLY1305_KEY],
	struct poly1305_beside *beside);

#endif
