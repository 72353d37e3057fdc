/*
 * ChaCha20's rounds, in plain C: for a block and for HChaCha20. Run by whoever seals or opens.
 */
#include "device/crypto/chacha20.h"

#include "device/crypto/chacha20_rounds.h"

static void rounds(uint32_t s[WORDS])
{
	for (int i = 0; i < DOUBLE_ROUNDS; i++)
		DOUBLE_ROUND(s);
}

static void store32(uint8_t *p, uint32_t value)
{
	struct le32 le = le32_make(value);

	memcpy(p, le.bytes, sizeof le.bytes);
}

void chacha20_block(const uint8_t key[CHACHA20_KEY], uint32_t block, uint64_t counter,
	uint8_t out[CHACHA20_BLOCK])
{
	uint32_t first[WORDS], s[WORDS];

	first_words(first, key, block, counter);
	memcpy(s, first, sizeof s);
	rounds(s);
	for (int i = 0; i < WORDS; i++)
		store32(out + 4 * i, s[i] + first[i]);
	explicit_bzero(first, sizeof first);
	explicit_bzero(s, sizeof s);
}

void hchacha20(
	const uint8_t key[CHACHA20_KEY], const uint8_t nonce[16], uint8_t subkey[CHACHA20_KEY])
{
	uint32_t s[WORDS];

	first_words(s, key, 0, 0);
	/* the nonce where block and counter stand else */
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
