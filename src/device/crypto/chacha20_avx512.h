/* ChaCha20 (RFC 8439, 2.4) of one message, up to 24 blocks side by side, with AVX-512. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "device/crypto/chacha20.h"

#ifdef __x86_64__

/* With WireGuard's nonce, from this block on: whole blocks, in and out the same or apart. Only
 * where the processor has AVX-512 F, BW and VL. */
void chacha20_avx512(const uint8_t key[CHACHA20_KEY], uint64_t counter, uint32_t block,
	const uint8_t *in, size_t n_blocks, uint8_t *out);

#endif
