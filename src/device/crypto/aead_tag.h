/*
 * What the tag of a message is made of, and whether it is the one that came: without a call, as it
 * is done with each message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/endian.h"
#include "device/crypto/aead.h"
#include "device/crypto/poly1305_lanes.h"

/* RFC 8439, 2.8: the sealed bytes, filled up to whole blocks, and their length; there is no
 * additional data. */
static inline void aead_tag_lane(struct poly1305_lane *lane, const uint8_t key[POLY1305_KEY],
	const uint8_t *sealed, size_t n)
{
	size_t rest = n % POLY1305_BLOCK;
	struct le64 le = le64_make(n);

	memcpy(lane->key, key, sizeof lane->key);
	lane->data = sealed;
	lane->n_data = n / POLY1305_BLOCK;
	lane->n_end = rest > 0 ? 2 : 1;
	memset(lane->end, 0, sizeof lane->end);
	memcpy(lane->end, sealed + (n - rest), rest);
	memcpy(lane->end + lane->n_end * POLY1305_BLOCK - sizeof le.bytes, le.bytes,
		sizeof le.bytes);
}

/* In constant time, and without a call. */
static inline bool aead_tag_same(const uint8_t a[AEAD_TAG_SIZE], const uint8_t b[AEAD_TAG_SIZE])
{
	uint64_t x[2], y[2], difference;

	memcpy(x, a, sizeof x);
	memcpy(y, b, sizeof y);
	difference = (x[0] ^ y[0]) | (x[1] ^ y[1]);
	/* else a compiler may make two comparisons of it, with a branch between them */
	__asm__("" : "+r"(difference));
	return difference == 0;
}
