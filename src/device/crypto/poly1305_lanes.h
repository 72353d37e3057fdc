/*
 * Poly1305 (RFC 8439, 2.5) of four messages side by side, each in a lane of the processor's
 * vectors: a single message's blocks depend on each other, four messages' do not.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "device/crypto/poly1305.h"

enum { POLY1305_LANES = 4 };

/* One message: whole blocks where they lie, then one or two that are put together. */
struct poly1305_lane {
	uint8_t key[POLY1305_KEY];
	const uint8_t *data;
	size_t n_data; /* blocks */
	uint8_t end[2 * POLY1305_BLOCK];
	size_t n_end; /* blocks */
	uint8_t tag[POLY1305_BLOCK]; /* the result */
};

/* Makes all tags. Lanes may be of different lengths; those of no length cost as much as others.
 * Which instructions run depends on the lengths alone. */
typedef void poly1305_lanes_fn(struct poly1305_lane lanes[POLY1305_LANES]);
