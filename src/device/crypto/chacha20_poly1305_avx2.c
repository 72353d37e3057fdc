/*
 * ChaCha20 with AVX2, eight blocks at a time, and Poly1305 of another message between its quarter
 * rounds. Run by whoever seals or opens many messages.
 *
 * Both are in one statement of assembly: compilers have no good order for it, and too few registers
 * left.
 */
#include "device/crypto/chacha20_poly1305_avx2.h"

#ifdef __x86_64__

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,bmi2")))
#include "device/crypto/chacha20_rounds.h"
#include "device/crypto/chacha20_turn_avx2.h"
#include "device/crypto/wipe.h"

enum { LANES = 8 };

/* One word of the state, of eight blocks. */
typedef uint32_t words8 __attribute__((vector_size(4 * LANES)));

struct work {
	words8 s[WORDS];
	/* Of the key. What is above 2^130 counts five times: h1 * r1 is above 2^128, r1's last two
	 * bits are 0, so that it counts five fourths of r1. */
	uint64_t r0, r1, r1_5_4;
	const uint8_t *end; /* of the other message's blocks */
};

/* Where the bytes of eight words go when each is turned left by 16 and by 8 bits. */
static const uint8_t turn_16[4 * LANES] __attribute__((aligned(4 * LANES))) = {2, 3, 0, 1, 6, 7, 4,
	5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13};
static const uint8_t turn_8[4 * LANES] __attribute__((aligned(4 * LANES))) = {3, 0, 1, 2, 7, 4, 5,
	6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14};

#define LINE(x) x "\n\t"
#define VECTOR(i) "%%ymm" #i
#define WORD(i) "32*" #i "(%[work])"
#define LOAD(i) LINE("vmovdqa " WORD(i) ", " VECTOR(i))
#define STORE(from, i) LINE("vmovdqa " VECTOR(from) ", " WORD(i))
#define EACH(op, a, b, c, d) op(a) op(b) op(c) op(d)
#define STORE_SAME(i) STORE(i, i)

/* to = a op b, and the same of another quarter round. */
#define BOTH(op, b, a, to, f, e, to_too)                                                           \
	LINE(op " " b ", " a ", " to)                                                              \
	LINE(op " " f ", " e ", " to_too)

/*
 * Half of a quarter round (RFC 8439, 2.1) of the words a, b, c and d, and of e, f, g and h: each is
 * a vector's number, but c and g, which come from where it says into the vectors 8 and 9. 10 and 11
 * are for what a turn needs.
 */
#define HALF_OF_TWO(a, b, c, d, e, f, g, h, turn, left, right)                                     \
	BOTH("vpaddd", VECTOR(b), VECTOR(a), VECTOR(a), VECTOR(f), VECTOR(e), VECTOR(e))           \
	BOTH("vpxor", VECTOR(a), VECTOR(d), VECTOR(d), VECTOR(e), VECTOR(h), VECTOR(h))            \
	BOTH("vpshufb", turn, VECTOR(d), VECTOR(d), turn, VECTOR(h), VECTOR(h))                    \
	BOTH("vpaddd", c, VECTOR(d), VECTOR(8), g, VECTOR(h), VECTOR(9))                           \
	BOTH("vpxor", VECTOR(8), VECTOR(b), VECTOR(b), VECTOR(9), VECTOR(f), VECTOR(f))            \
	BOTH("vpslld", left, VECTOR(b), VECTOR(10), left, VECTOR(f), VECTOR(11))                   \
	BOTH("vpsrld", right, VECTOR(b), VECTOR(b), right, VECTOR(f), VECTOR(f))                   \
	BOTH("vpor", VECTOR(10), VECTOR(b), VECTOR(b), VECTOR(11), VECTOR(f), VECTOR(f))

#define TWO_QUARTER_ROUNDS(a, b, c, d, e, f, g, h)                                                 \
	HALF_OF_TWO(a, b, c, d, e, f, g, h, "%[turn_16]", "$12", "$20")                            \
	HALF_OF_TWO(a, b, VECTOR(8), d, e, f, VECTOR(9), h, "%[turn_8]", "$7", "$25")

/*
 * One block of the other message, if there is one left: (h + block + 2^128) * r, nearly modulo
 * 2^130 - 5 (RFC 8439, 2.5). h0 is in rdx, which mulx multiplies. r is less than 2^124, in halves
 * of less than 2^60, and h2 less than 7, so that no sum overflows.
 */
#define OTHER_BLOCK                                                                                \
	LINE("cmpq %c[end](%[work]), %[data]")                                                     \
	LINE("je 9f")                                                                              \
	LINE("addq (%[data]), %%rdx")                                                              \
	LINE("adcq 8(%[data]), %[h1]")                                                             \
	LINE("adcq $1, %[h2]")                                                                     \
	LINE("leaq 16(%[data]), %[data]")                                                          \
	/* p0 = h0 * r0 + h1 * r1 * 5/4 */                                                         \
	LINE("mulxq %c[r0](%[work]), %[p0], %[p0_high]")                                           \
	LINE("mulxq %c[r1](%[work]), %[p1], %[p1_high]")                                           \
	LINE("movq %[h1], %%rdx")                                                                  \
	LINE("mulxq %c[r1_5_4](%[work]), %[x], %[y]")                                              \
	LINE("addq %[x], %[p0]")                                                                   \
	LINE("adcq %[y], %[p0_high]")                                                              \
	/* p1 = h0 * r1 + h1 * r0 + h2 * r1 * 5/4 + what p0 carries; above it, h2 * r0 */          \
	LINE("mulxq %c[r0](%[work]), %[h1], %[x]")                                                 \
	LINE("movq %c[r1_5_4](%[work]), %%rdx")                                                    \
	LINE("imulq %[h2], %%rdx")                                                                 \
	LINE("imulq %c[r0](%[work]), %[h2]")                                                       \
	LINE("addq %[p1], %[h1]")                                                                  \
	LINE("adcq %[p1_high], %[x]")                                                              \
	LINE("addq %%rdx, %[h1]")                                                                  \
	LINE("adcq %[h2], %[x]")                                                                   \
	LINE("addq %[p0_high], %[h1]")                                                             \
	LINE("adcq $0, %[x]")                                                                      \
	/* what is above 2^130: four times, and once */                                            \
	LINE("movq %[x], %%rdx")                                                                   \
	LINE("movq %[x], %[h2]")                                                                   \
	LINE("andq $-4, %%rdx")                                                                    \
	LINE("shrq $2, %[x]")                                                                      \
	LINE("andq $3, %[h2]")                                                                     \
	LINE("addq %[x], %%rdx")                                                                   \
	LINE("addq %[p0], %%rdx")                                                                  \
	LINE("adcq $0, %[h1]")                                                                     \
	LINE("adcq $0, %[h2]")                                                                     \
	LINE("9:")

/* Words 0 to 7 and 12 to 15 stay in the vectors of their numbers; of 8 to 11 two are in 8 and 9. */
TARGET static void run_rounds(struct work *work, struct poly1305_beside *beside)
{
	uint64_t h0 = beside->poly.h[0], h1 = beside->poly.h[1], h2 = beside->poly.h[2];
	uint64_t p0, p0_high, p1, p1_high, x, y, left;
	const uint8_t *data = beside->data;

	/* clang-format off */
	__asm__ volatile(
		EACH(LOAD, 0, 1, 2, 3)
		EACH(LOAD, 4, 5, 6, 7)
		EACH(LOAD, 12, 13, 14, 15)
		LOAD(8) LOAD(9)
		LINE("movl %[double_rounds], %k[left]")
		LINE("1:")
		/* columns */
		TWO_QUARTER_ROUNDS(0, 4, VECTOR(8), 12, 1, 5, VECTOR(9), 13)
		STORE(8, 8) STORE(9, 9)
		OTHER_BLOCK
		TWO_QUARTER_ROUNDS(2, 6, WORD(10), 14, 3, 7, WORD(11), 15)
		OTHER_BLOCK
		/* diagonals, those first that have the words 10 and 11 */
		TWO_QUARTER_ROUNDS(0, 5, VECTOR(8), 15, 1, 6, VECTOR(9), 12)
		STORE(8, 10) STORE(9, 11)
		OTHER_BLOCK
		TWO_QUARTER_ROUNDS(2, 7, WORD(8), 13, 3, 4, WORD(9), 14)
		LINE("decl %k[left]")
		LINE("jnz 1b")
		EACH(STORE_SAME, 0, 1, 2, 3)
		EACH(STORE_SAME, 4, 5, 6, 7)
		EACH(STORE_SAME, 12, 13, 14, 15)
		STORE(8, 8) STORE(9, 9)
		: "+d"(h0), [h1] "+r"(h1), [h2] "+r"(h2), [data] "+r"(data), [p0] "=&r"(p0),
		  [p0_high] "=&r"(p0_high), [p1] "=&r"(p1), [p1_high] "=&r"(p1_high), [x] "=&r"(x),
		  [y] "=&r"(y), [left] "=&r"(left)
		: [work] "r"(work), [turn_16] "m"(turn_16), [turn_8] "m"(turn_8),
		  [r0] "i"(offsetof(struct work, r0)), [r1] "i"(offsetof(struct work, r1)),
		  [r1_5_4] "i"(offsetof(struct work, r1_5_4)), [end] "i"(offsetof(struct work, end)),
		  [double_rounds] "i"(DOUBLE_ROUNDS)
		: "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	/* clang-format on */
	beside->poly.h[0] = h0;
	beside->poly.h[1] = h1;
	beside->poly.h[2] = h2;
	beside->n_blocks -= (size_t)(data - beside->data) / POLY1305_BLOCK;
	beside->data = data;
}

/* What is added to the block counters. */
static const words8 count8 = {0, 1, 2, 3, 4, 5, 6, 7};

static inline TARGET_INLINE words8 first_word(const uint32_t first[WORDS], int i)
{
	return first[i] + (i == 12 ? count8 : (words8){0});
}

/* Eight blocks of the key stream, from this one on: the first halves of them, then the second, in
 * work->s. */
TARGET static void run(
	struct work *work, const uint32_t first[WORDS], struct poly1305_beside *beside)
{
	__m256i halves[WORDS];

#pragma GCC unroll 16
	for (int i = 0; i < WORDS; i++)
		work->s[i] = first_word(first, i);
	run_rounds(work, beside);
#pragma GCC unroll 16
	for (int i = 0; i < WORDS; i++)
		halves[i] = (__m256i)(work->s[i] + first_word(first, i));
	turn8(halves);
	turn8(halves + WORDS / 2);
	memcpy(work->s, halves, sizeof work->s);
}

static inline TARGET_INLINE void xor_half(words8 stream, const uint8_t *in, uint8_t *out)
{
	words8 text;

	memcpy(&text, in, sizeof text);
	text ^= stream;
	memcpy(out, &text, sizeof text);
}

/* With the blocks of the key stream from this one on. */
TARGET static void xor_blocks(
	const words8 *stream, const uint8_t *in, size_t n_blocks, uint8_t *out)
{
	for (size_t i = 0; i < n_blocks; i++) {
		xor_half(stream[i], in, out);
		xor_half(stream[LANES + i], in + sizeof *stream, out + sizeof *stream);
		in += CHACHA20_BLOCK;
		out += CHACHA20_BLOCK;
	}
}

static void begin(struct work *work, const struct poly1305_beside *beside)
{
	work->r0 = beside->poly.r[0];
	work->r1 = beside->poly.r[1];
	work->r1_5_4 = work->r1 + (work->r1 >> 2);
	work->end = beside->data;
	if (beside->n_blocks > 0)
		work->end += beside->n_blocks * POLY1305_BLOCK;
}

TARGET void chacha20_poly1305_avx2(const uint8_t key[CHACHA20_KEY], uint64_t counter,
	const uint8_t *in, size_t n_blocks, uint8_t *out, uint8_t one_time_key[POLY1305_KEY],
	struct poly1305_beside *beside)
{
	size_t skip = one_time_key ? 1 : 0; /* blocks of the first run */
	uint32_t first[WORDS];
	struct work work;

	first_words(first, key, one_time_key ? 0 : 1, counter);
	begin(&work, beside);
	while (n_blocks > 0) {
		size_t n = n_blocks < LANES - skip ? n_blocks : LANES - skip;

		run(&work, first, beside);
		if (skip > 0)
			memcpy(one_time_key, &work.s[0], POLY1305_KEY);
		xor_blocks(work.s + skip, in, n, out);
		in += n * CHACHA20_BLOCK;
		out += n * CHACHA20_BLOCK;
		n_blocks -= n;
		first[12] += LANES;
		skip = 0;
	}
	wipe(first, sizeof first);
	wipe(&work, sizeof work);
}

#endif
