/*
 * Long messages with AVX2 alone: ChaCha20 of one message goes on while Poly1305 makes a tag. Only
 * where the processor has AVX2 and BMI2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/crypto/aead.h"
#include "device/crypto/poly1305_lanes.h"

#ifdef __x86_64__

/* Enciphers n bytes into whole blocks of out, and makes the one-time key of their tag. Meanwhile
 * the tag of another message is made, sealed before, of which nothing lies in out; NULL: of none.
 */
void aead_cipher_beside_avx2(const struct aead_key *key, uint64_t counter, const uint8_t *in,
	size_t n, uint8_t *out, uint8_t one_time_key[POLY1305_KEY], struct poly1305_lane *other);

/* Opens n bytes where they lie, with the tag behind them, of which the one-time key was made
 * before. work: as many whole blocks, which keep what was deciphered. Returns whether they are
 * authentic; if not, they are as they were. */
bool aead_open_beside_avx2(const struct aead_key *key, uint64_t counter, uint8_t *data, size_t n,
	const uint8_t one_time_key[POLY1305_KEY], uint8_t *work);

#endif
