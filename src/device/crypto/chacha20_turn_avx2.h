/*
 * From words to blocks, with AVX2, for what includes this after chacha20_rounds.h: eight blocks
 * side by side, a word of each in a vector.
 */
#include <immintrin.h>

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
