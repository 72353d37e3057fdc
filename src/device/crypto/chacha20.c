/*
 * ChaCha20's rounds, in plain C: for a block and for HChaCha20. Run by whoever seals or opens.
 */
#include "device/crypto/chacha20.h"

#include <string.h>

#include "base/endian.h"

enum { DOUBLE_ROUNDS = 10 };

/* "expand 32-byte k" */
static const uint32_t constants[] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

static uint32_t load32(const uint8_t *p)
{
	struct le32 v;

	memcpy(v.bytes, p, sizeof v.bytes);
	return le32_get(v);
}

static uint32_t rotate_left(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* RFC 8439, 2.1 */
static void quarter_round(uint32_t s[16], int a, int b, int c, int d)
{
	s[a] += s[b];
	s[d] = rotate_left(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate_left(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = rotate_left(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate_left(s[b] ^ s[c], 7);
}

static void rounds(uint32_t s[16])
{
	for (int i = 0; i < DOUBLE_ROUNDS; i++) {
		quarter_round(s, 0, 4, 8, 12);
		quarter_round(s, 1, 5, 9, 13);
		quarter_round(s, 2, 6, 10, 14);
		quarter_round(s, 3, 7, 11, 15);
		quarter_round(s, 0, 5, 10, 15);
		quarter_round(s, 1, 6, 11, 12);
		quarter_round(s, 2, 7, 8, 13);
		quarter_round(s, 3, 4, 9, 14);
	}
}

static void begin(uint32_t s[16], const uint8_t key[CHACHA20_KEY])
{
	memcpy(s, constants, sizeof constants);
	for (int i = 0; i < 8; i++)
		s[4 + i] = load32(key + 4 * i);
}

static void store32(uint8_t *p, uint32_t value)
{
	struct le32 le = le32_make(value);

	memcpy(p, le.bytes, sizeof le.bytes);
}

void chacha20_block(const uint8_t key[CHACHA20_KEY], uint32_t block, uint64_t counter,
	uint8_t out[CHACHA20_BLOCK])
{
	uint32_t first[16], s[16];

	begin(first, key);
	first[12] = block;
	first[13] = 0;
	first[14] = (uint32_t)counter;
	first[15] = (uint32_t)(counter >> 32);
	memcpy(s, first, sizeof s);
	rounds(s);
	for (int i = 0; i < 16; i++)
		store32(out + 4 * i, s[i] + first[i]);
	explicit_bzero(first, sizeof first);
	explicit_bzero(s, sizeof s);
}

void hchacha20(
	const uint8_t key[CHACHA20_KEY], const uint8_t nonce[16], uint8_t subkey[CHACHA20_KEY])
{
	uint32_t s[16];

	begin(s, key);
	for (int i = 0; i < 4; i++)
		s[12 + i] = load32(nonce + 4 * i);
	rounds(s);
	/* The first and the last row, without ChaCha20's final addition. */
	for (int i = 0; i < 4; i++) {
		store32(subkey + 4 * i, s[i]);
		store32(subkey + 16 + 4 * i, s[12 + i]);
	}
	explicit_bzero(s, sizeof s);
}
