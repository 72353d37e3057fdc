/*
 * ChaCha20 with AVX-512: sixteen blocks at a time, with the same word of each in a register; or
 * eight, with the same row of four in a register, which fills all of it; or both at once, which
 * wait less for each other. Run by whoever seals or opens.
 */
#include "device/crypto/chacha20_avx512.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <stdbool.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#include "device/crypto/chacha20_rounds.h"
#include "device/crypto/wipe.h"

/* One word of the state, of sixteen blocks. */
typedef uint32_t words16 __attribute__((vector_size(64)));
/* One row of the state, which are four words, of four blocks. */
typedef uint32_t row4 __attribute__((vector_size(64)));

enum { ROWS = 4 };

/* What is added to the block counters. */
static const words16 count16 = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const row4 count4 = {0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};

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

/* A block that is not there is masked and not left out by a branch, which costs registers. */
static inline TARGET_INLINE void xor_block(
	__m512i stream, const uint8_t *in, bool is_there, uint8_t *out)
{
	__mmask16 there = (__mmask16)(0 - is_there);
	__m512i text = _mm512_maskz_loadu_epi32(there, in);

	_mm512_mask_storeu_epi32(out, there, _mm512_xor_si512(stream, text));
}

static inline TARGET_INLINE void xor16(
	const words16 s[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
#pragma GCC unroll 16
	for (size_t i = 0; i < 16; i++)
		xor_block((__m512i)s[i], in + i * CHACHA20_BLOCK, i < n_blocks,
			out + i * CHACHA20_BLOCK);
}

/* From a row of four blocks in each to a block in each. */
static inline TARGET_INLINE void turn4(__m512i x[ROWS])
{
	__m512i low_01 = _mm512_shuffle_i32x4(x[0], x[1], 0x44);
	__m512i high_01 = _mm512_shuffle_i32x4(x[0], x[1], 0xee);
	__m512i low_23 = _mm512_shuffle_i32x4(x[2], x[3], 0x44);
	__m512i high_23 = _mm512_shuffle_i32x4(x[2], x[3], 0xee);

	x[0] = _mm512_shuffle_i32x4(low_01, low_23, 0x88);
	x[1] = _mm512_shuffle_i32x4(low_01, low_23, 0xdd);
	x[2] = _mm512_shuffle_i32x4(high_01, high_23, 0x88);
	x[3] = _mm512_shuffle_i32x4(high_01, high_23, 0xdd);
}

/* Adds the state of the first block to each, and how many blocks it is from there: before the
 * rounds, and after them (RFC 8439, 2.3). */
#define ADD_FIRST(s, first, count)                                                                 \
	do {                                                                                       \
		_Pragma("GCC unroll 16") for (int i = 0; i < WORDS; i++) s[i] += (first)[i];       \
		s[12] += count;                                                                    \
	} while (0)

/* The state of the block that is so many blocks after the first, and of the three that follow. */
static inline TARGET_INLINE void begin4(row4 r[ROWS], const uint32_t first[WORDS], uint32_t blocks)
{
	const row4 after = {blocks};

#pragma GCC unroll 4
	for (int i = 0; i < ROWS; i++)
		r[i] = (row4)_mm512_broadcast_i32x4(
			_mm_loadu_si128((const __m128i *)(first + 4 * i)));
	r[3] += count4 + (row4)_mm512_broadcast_i32x4(_mm512_castsi512_si128((__m512i)after));
}

static inline TARGET_INLINE void end4(row4 r[ROWS], const uint32_t first[WORDS], uint32_t blocks,
	const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	row4 began[ROWS];

	begin4(began, first, blocks);
#pragma GCC unroll 4
	for (int i = 0; i < ROWS; i++)
		r[i] += began[i];
	turn4((__m512i *)r);
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		size_t at = (blocks + i) * CHACHA20_BLOCK;

		xor_block((__m512i)r[i], in + at, blocks + i < n_blocks, out + at);
	}
}

/* A step of a round, of two times four blocks by rows. */
#define ROW_STEP(r, t, a, b, d, n)                                                                 \
	do {                                                                                       \
		ADD_XOR_ROTATE(r, a, b, d, n);                                                     \
		ADD_XOR_ROTATE(t, a, b, d, n);                                                     \
	} while (0)

#define ROUND_OF_ROWS(r, t)                                                                        \
	do {                                                                                       \
		ROW_STEP(r, t, 0, 1, 3, 16);                                                       \
		ROW_STEP(r, t, 2, 3, 1, 12);                                                       \
		ROW_STEP(r, t, 0, 1, 3, 8);                                                        \
		ROW_STEP(r, t, 2, 3, 1, 7);                                                        \
	} while (0)

/* The same, between the steps of sixteen blocks. */
#define ROUND_OF_BOTH(s, diagonal, r, t)                                                           \
	do {                                                                                       \
		STEP_1(s, diagonal);                                                               \
		ROW_STEP(r, t, 0, 1, 3, 16);                                                       \
		STEP_2(s, diagonal);                                                               \
		ROW_STEP(r, t, 2, 3, 1, 12);                                                       \
		STEP_3(s, diagonal);                                                               \
		ROW_STEP(r, t, 0, 1, 3, 8);                                                        \
		STEP_4(s, diagonal);                                                               \
		ROW_STEP(r, t, 2, 3, 1, 7);                                                        \
	} while (0)

/* Turns the second to fourth row, so that diagonals become columns, and back. */
#define TURN_ROW(row, by) ((row) = (row4)_mm512_shuffle_epi32((__m512i)(row), by))
#define TO_DIAGONALS(r)                                                                            \
	do {                                                                                       \
		TURN_ROW((r)[1], 0x39);                                                            \
		TURN_ROW((r)[2], 0x4e);                                                            \
		TURN_ROW((r)[3], 0x93);                                                            \
	} while (0)
#define TO_COLUMNS(r)                                                                              \
	do {                                                                                       \
		TURN_ROW((r)[1], 0x93);                                                            \
		TURN_ROW((r)[2], 0x4e);                                                            \
		TURN_ROW((r)[3], 0x39);                                                            \
	} while (0)

TARGET static void run24(
	const uint32_t first[WORDS], const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	words16 s[WORDS] = {0};
	row4 r[ROWS], t[ROWS];

	ADD_FIRST(s, first, count16);
	begin4(r, first, 16);
	begin4(t, first, 20);
	for (int i = 0; i < DOUBLE_ROUNDS; i++) {
		ROUND_OF_BOTH(s, 0, r, t);
		TO_DIAGONALS(r);
		TO_DIAGONALS(t);
		ROUND_OF_BOTH(s, 1, r, t);
		TO_COLUMNS(r);
		TO_COLUMNS(t);
	}
	end4(r, first, 16, in, n_blocks, out);
	end4(t, first, 20, in, n_blocks, out);
	ADD_FIRST(s, first, count16);
	turn16((__m512i *)s);
	xor16(s, in, 16, out);
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
	row4 r[ROWS], t[ROWS];

	begin4(r, first, 0);
	begin4(t, first, 4);
	for (int i = 0; i < DOUBLE_ROUNDS; i++) {
		ROUND_OF_ROWS(r, t);
		TO_DIAGONALS(r);
		TO_DIAGONALS(t);
		ROUND_OF_ROWS(r, t);
		TO_COLUMNS(r);
		TO_COLUMNS(t);
	}
	end4(r, first, 0, in, n_blocks, out);
	end4(t, first, 4, in, n_blocks, out);
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
