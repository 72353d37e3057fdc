/*
 * ChaCha20's rounds (RFC 8439, 2.3) on the words of one block, or of several, each word a vector
 * with one lane for each block. Macros, because what includes this has vectors of its own: it has
 * included chacha20.h, says with what TARGET its functions are compiled, and may have a better
 * ROTATE_LEFT.
 */
#include <string.h>

#include "base/endian.h"

#define TARGET_INLINE __attribute__((always_inline)) TARGET

enum { WORDS = CHACHA20_BLOCK / 4, DOUBLE_ROUNDS = 10 };

#ifndef ROTATE_LEFT
#define ROTATE_LEFT(x, n) ((x) << (n) | (x) >> (32 - (n)))
#endif

/* One step of a quarter round (RFC 8439, 2.1). */
#define ADD_XOR_ROTATE(s, a, b, d, n)                                                              \
	do {                                                                                       \
		s[a] += s[b];                                                                      \
		s[d] ^= s[a];                                                                      \
		s[d] = ROTATE_LEFT(s[d], n);                                                       \
	} while (0)

/* The same step of four quarter rounds, so that one need not wait for the other: the rows that
 * begin at the words a, b and d, each turned by so many words. */
#define STEP(s, a, a_turn, b, b_turn, d, d_turn, n)                                                \
	do {                                                                                       \
		ADD_XOR_ROTATE(s, a + (a_turn) % 4, b + (b_turn) % 4, d + (d_turn) % 4, n);        \
		ADD_XOR_ROTATE(s, a + (1 + (a_turn)) % 4, b + (1 + (b_turn)) % 4,                  \
			d + (1 + (d_turn)) % 4, n);                                                \
		ADD_XOR_ROTATE(s, a + (2 + (a_turn)) % 4, b + (2 + (b_turn)) % 4,                  \
			d + (2 + (d_turn)) % 4, n);                                                \
		ADD_XOR_ROTATE(s, a + (3 + (a_turn)) % 4, b + (3 + (b_turn)) % 4,                  \
			d + (3 + (d_turn)) % 4, n);                                                \
	} while (0)

/* The four steps of a round, of columns (0) or of diagonals (1). */
#define STEP_1(s, diagonal) STEP(s, 0, 0, 4, diagonal, 12, 3 * diagonal, 16)
#define STEP_2(s, diagonal) STEP(s, 8, 2 * diagonal, 12, 3 * diagonal, 4, diagonal, 12)
#define STEP_3(s, diagonal) STEP(s, 0, 0, 4, diagonal, 12, 3 * diagonal, 8)
#define STEP_4(s, diagonal) STEP(s, 8, 2 * diagonal, 12, 3 * diagonal, 4, diagonal, 7)

#define DOUBLE_ROUND(s)                                                                            \
	do {                                                                                       \
		STEP_1(s, 0);                                                                      \
		STEP_2(s, 0);                                                                      \
		STEP_3(s, 0);                                                                      \
		STEP_4(s, 0);                                                                      \
		STEP_1(s, 1);                                                                      \
		STEP_2(s, 1);                                                                      \
		STEP_3(s, 1);                                                                      \
		STEP_4(s, 1);                                                                      \
	} while (0)

static inline uint32_t load32(const uint8_t *p)
{
	struct le32 v;

	memcpy(v.bytes, p, sizeof v.bytes);
	return le32_get(v);
}

/* The state at the beginning of one block. */
static inline void first_words(
	uint32_t words[WORDS], const uint8_t key[CHACHA20_KEY], uint32_t block, uint64_t counter)
{
	/* "expand 32-byte k" */
	static const uint32_t constants[] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	memcpy(words, constants, sizeof constants);
	for (int i = 0; i < 8; i++)
		words[4 + i] = load32(key + 4 * i);
	words[12] = block;
	words[13] = 0;
	words[14] = (uint32_t)counter;
	words[15] = (uint32_t)(counter >> 32);
}
