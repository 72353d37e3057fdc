/*
 * ChaCha20 (RFC 8439, 2.3) of some blocks side by side, each in a lane of the processor's vectors:
 * of one short message, or the first ones of several messages.
 */
#pragma once

#include <stdint.h>

#include "device/crypto/chacha20.h"

enum {
	CHACHA20_LANES = 8,
	CHACHA20_LANES_PORTABLE = 4, /* of them, the first ones */
};

/* Which block each lane makes. */
struct chacha20_lanes {
	uint32_t block[CHACHA20_LANES];
	uint64_t counter[CHACHA20_LANES]; /* WireGuard's: the nonce */
};

/* The key stream's blocks: what chacha20_block() gives for each. */
typedef void chacha20_lanes_fn(const uint8_t key[CHACHA20_KEY], const struct chacha20_lanes *lanes,
	uint8_t out[CHACHA20_LANES][CHACHA20_BLOCK]);

/* For any processor, with what vectors the compiler has for it. Makes CHACHA20_LANES_PORTABLE
 * blocks alone. */
chacha20_lanes_fn chacha20_lanes_portable;
