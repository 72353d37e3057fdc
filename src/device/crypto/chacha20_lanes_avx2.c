/* ChaCha20 in lanes, with AVX2. Run by whoever seals or opens. */
#include "device/crypto/chacha20_lanes_avx2.h"

#ifdef __x86_64__

#include <immintrin.h>

typedef uint8_t byte_lanes __attribute__((vector_size(4 * CHACHA20_LANES)));

/* By whole bytes a word is turned faster by a shuffle, which each half of the vector does. */
#define TURNED_WORD(at, n)                                                                         \
	(at) + (4 - (n)) % 4, (at) + (5 - (n)) % 4, (at) + (6 - (n)) % 4, (at) + (7 - (n)) % 4
#define TURNED_HALF(at, n)                                                                         \
	TURNED_WORD(at, n), TURNED_WORD((at) + 4, n), TURNED_WORD((at) + 8, n),                    \
		TURNED_WORD((at) + 12, n)
#define TURN_BYTES(x, n)                                                                           \
	(word_lanes) __builtin_shufflevector(                                                      \
		(byte_lanes)(x), (byte_lanes)(x), TURNED_HALF(0, n), TURNED_HALF(16, n))
#define ROTATE_LEFT(x, n)                                                                          \
	((n) == 16         ? TURN_BYTES(x, 2)                                                      \
		: (n) == 8 ? TURN_BYTES(x, 1)                                                      \
			   : ((x) << (n) | (x) >> (32 - (n))))
#define TARGET __attribute__((target("avx2")))
#define LANES CHACHA20_LANES
#include "device/crypto/chacha20_lanes_body.h"

/* From half a block's words of each lane to half a block of each lane: by pairs of words, of two
 * words, of four. */
static inline TARGET_INLINE void turn8(__m256i x[WORDS / 2])
{
	__m256i two[WORDS / 2], four[WORDS / 2];

#pragma GCC unroll 4
	for (int i = 0; i < WORDS / 2; i += 2) {
		two[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
		two[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
	}
#pragma GCC unroll 2
	for (int i = 0; i < WORDS / 2; i += 4) {
		four[i] = _mm256_unpacklo_epi64(two[i], two[i + 2]);
		four[i + 1] = _mm256_unpackhi_epi64(two[i], two[i + 2]);
		four[i + 2] = _mm256_unpacklo_epi64(two[i + 1], two[i + 3]);
		four[i + 3] = _mm256_unpackhi_epi64(two[i + 1], two[i + 3]);
	}
#pragma GCC unroll 4
	for (int k = 0; k < 4; k++) {
		x[k] = _mm256_permute2x128_si256(four[k], four[4 + k], 0x20);
		x[4 + k] = _mm256_permute2x128_si256(four[k], four[4 + k], 0x31);
	}
}

TARGET void chacha20_lanes_avx2(const uint8_t key[CHACHA20_KEY], const struct chacha20_lanes *lanes,
	uint8_t out[CHACHA20_LANES][CHACHA20_BLOCK])
{
	word_lanes s[WORDS];
	__m256i *halves = (__m256i *)s;

	lanes_make_words(s, key, lanes);
	turn8(halves);
	turn8(halves + WORDS / 2);
	for (int i = 0; i < LANES; i++) {
		memcpy(out[i], &halves[i], CHACHA20_BLOCK / 2);
		memcpy(out[i] + CHACHA20_BLOCK / 2, &halves[LANES + i], CHACHA20_BLOCK / 2);
	}
}

#endif
