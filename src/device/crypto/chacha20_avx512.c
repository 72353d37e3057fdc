/*
 * ChaCha20 with AVX-512: sixteen blocks at a time, eight of half the width, or both at once, which
 * just fill the 32 registers and take 1.2 times as long as sixteen do. Run by whoever seals or
 * opens.
 */
#include "device/crypto/chacha20_avx512.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <stdbool.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#include "device/crypto/chacha20_rounds.h"
#include "device/crypto/chacha20_turn.h"
#include "device/crypto/wipe.h"

/* One word of the state, of sixteen and of eight blocks. */
typedef uint32_t words16 __attribute__((vector_size(64)));
typedef uint32_t words8 __attribute__((vector_size(32)));

/* What is added to the block counter in each lane. */
static const words16 count16 = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const words8 count8 = {0, 1, 2, 3, 4, 5, 6, 7};

/* From a word of each lane to a block of each lane: by pairs of words, of two words, of four, of
 * eight. */
static inline TARGET_INLINE void turn16(__m512i x[WORDS])
{
	__m512i two[WORDS], four[WORDS];

#pragma GCC unroll 8
	for (int i = 0; i < WORDS; i += 2) {
		two[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
		two[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
	}
	/* four[i + k]: words i to i + 3 of lanes k, k + 4, k + 8 and k + 12 */
#pragma GCC unroll 4
	for (int i = 0; i < WORDS; i += 4) {
		four[i] = _mm512_unpacklo_epi64(two[i], two[i + 2]);
		four[i + 1] = _mm512_unpackhi_epi64(two[i], two[i + 2]);
		four[i + 2] = _mm512_unpacklo_epi64(two[i + 1], two[i + 3]);
		four[i + 3] = _mm512_unpackhi_epi64(two[i + 1], two[i + 3]);
	}
#pragma GCC unroll 4
	for (int k = 0; k < 4; k++) {
		__m512i low_even = _mm512_shuffle_i32x4(four[k], four[4 + k], 0x88);
		__m512i low_odd = _mm512_shuffle_i32x4(four[k], four[4 + k], 0xdd);
		__m512i high_even = _mm512_shuffle_i32x4(four[8 + k], four[12 + k], 0x88);
		__m512i high_odd = _mm512_shuffle_i32x4(four[8 + k], four[12 + k], 0xdd);

		x[k] = _mm512_shuffle_i32x4(low_even, high_even, 0x88);
		x[4 + k] = _mm512_shuffle_i32x4(low_odd, high_odd, 0x88);
		x[8 + k] = _mm512_shuffle_i32x4(low_even, high_even, 0xdd);
		x[12 + k] = _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd);
	}
}

/* Blocks that are not there are masked and not left out by branches, which cost registers. */
static inline TARGET_INLINE void xor16(
	const words16 s[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
#pragma GCC unroll 16
	for (size_t i = 0; i < 16; i++) {
		__mmask16 there = (__mmask16)(0 - (i < n_blocks));
		__m512i text = _mm512_maskz_loadu_epi32(there, in + i * CHACHA20_BLOCK);

		_mm512_mask_storeu_epi32(
			out + i * CHACHA20_BLOCK, there, _mm512_xor_si512((__m512i)s[i], text));
	}
}

static inline TARGET_INLINE void xor_half(
	words8 stream, const uint8_t *in, bool is_there, uint8_t *out)
{
	__mmask8 there = (__mmask8)(0 - is_there);
	__m256i text = _mm256_maskz_loadu_epi32(there, in);

	_mm256_mask_storeu_epi32(out, there, _mm256_xor_si256((__m256i)stream, text));
}

static inline TARGET_INLINE void xor8(
	const words8 s[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
#pragma GCC unroll 8
	for (size_t i = 0; i < 8; i++) {
		size_t at = i * CHACHA20_BLOCK;

		xor_half(s[i], in + at, i < n_blocks, out + at);
		xor_half(s[8 + i], in + at + 32, i < n_blocks, out + at + 32);
	}
}

/* Adds the state of the first block to each, and how many blocks it is from there: before the
 * rounds, and after them (RFC 8439, 2.3). */
#define ADD_FIRST(s, first, count)                                                                 \
	do {                                                                                       \
		_Pragma("GCC unroll 16") for (int i = 0; i < WORDS; i++) s[i] += (first)[i];       \
		s[12] += count;                                                                    \
	} while (0)

TARGET static void run24(
	const uint32_t first[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	const words8 count = count8 + 16;
	words16 s[WORDS] = {0};
	words8 t[WORDS] = {0};

	ADD_FIRST(s, first, count16);
	ADD_FIRST(t, first, count);
	for (int i = 0; i < DOUBLE_ROUNDS; i++) {
		STEP_1(s, 0);
		STEP_1(t, 0);
		STEP_2(s, 0);
		STEP_2(t, 0);
		STEP_3(s, 0);
		STEP_3(t, 0);
		STEP_4(s, 0);
		STEP_4(t, 0);
		STEP_1(s, 1);
		STEP_1(t, 1);
		STEP_2(s, 1);
		STEP_2(t, 1);
		STEP_3(s, 1);
		STEP_3(t, 1);
		STEP_4(s, 1);
		STEP_4(t, 1);
	}
	ADD_FIRST(s, first, count16);
	ADD_FIRST(t, first, count);
	turn16((__m512i *)s);
	xor16(s, in, 16, out);
	turn8((__m256i *)t);
	turn8((__m256i *)t + 8);
	xor8(t, in + 16 * CHACHA20_BLOCK, n_blocks - 16, out + 16 * CHACHA20_BLOCK);
}

TARGET static void run16(
	const uint32_t first[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	words16 s[WORDS] = {0};

	ADD_FIRST(s, first, count16);
	for (int i = 0; i < DOUBLE_ROUNDS; i++)
		DOUBLE_ROUND(s);
	ADD_FIRST(s, first, count16);
	turn16((__m512i *)s);
	xor16(s, in, n_blocks, out);
}

TARGET static void run8(
	const uint32_t first[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	words8 t[WORDS] = {0};

	ADD_FIRST(t, first, count8);
	for (int i = 0; i < DOUBLE_ROUNDS; i++)
		DOUBLE_ROUND(t);
	ADD_FIRST(t, first, count8);
	turn8((__m256i *)t);
	turn8((__m256i *)t + 8);
	xor8(t, in, n_blocks, out);
}

/* Returns how many blocks of those that are left one run does. */
static size_t run(const uint32_t first[WORDS], const uint8_t *in, size_t left, uint8_t *out)
{
	if (left > 24 || (left > 8 && left <= 16)) {
		run16(first, in, left, out);
		return left < 16 ? left : 16;
	}
	(left > 16 ? run24 : run8)(first, in, left, out);
	return left;
}

void chacha20_avx512(const uint8_t key[CHACHA20_KEY], uint64_t counter, uint32_t block,
	const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	uint32_t first[WORDS];
	size_t done;

	first_words(first, key, block, counter);
	for (; n_blocks > 0; n_blocks -= done) {
		done = run(first, in, n_blocks, out);
		first[12] += (uint32_t)done;
		in += done * CHACHA20_BLOCK;
		out += done * CHACHA20_BLOCK;
	}
	wipe(first, sizeof first);
}

#endif
