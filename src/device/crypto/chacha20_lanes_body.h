/*
 * A block of the key stream in each lane, for what includes this: it says the number of LANES, and
 * what chacha20_rounds.h asks for.
 */
#include "device/crypto/chacha20_rounds.h"

/* One word of the state, of each lane. */
typedef uint32_t word_lanes __attribute__((vector_size(4 * LANES)));

static inline TARGET_INLINE void lanes_begin(
	word_lanes s[WORDS], const uint8_t key[CHACHA20_KEY], const struct chacha20_lanes *lanes)
{
	uint32_t words[WORDS];

	first_words(words, key, 0, 0);
#pragma GCC unroll 16
	for (int i = 0; i < WORDS; i++)
		s[i] = words[i] + (word_lanes){0};
	for (int i = 0; i < LANES; i++) {
		s[12][i] = lanes->block[i];
		s[14][i] = (uint32_t)lanes->counter[i];
		s[15][i] = (uint32_t)(lanes->counter[i] >> 32);
	}
	explicit_bzero(words, sizeof words);
}

static inline TARGET_INLINE void lanes_make_words(
	word_lanes s[WORDS], const uint8_t key[CHACHA20_KEY], const struct chacha20_lanes *lanes)
{
	word_lanes first[WORDS];

	lanes_begin(first, key, lanes);
#pragma GCC unroll 16
	for (int i = 0; i < WORDS; i++)
		s[i] = first[i];
	for (int i = 0; i < DOUBLE_ROUNDS; i++)
		DOUBLE_ROUND(s);
#pragma GCC unroll 16
	for (int i = 0; i < WORDS; i++)
		s[i] += first[i];
}
