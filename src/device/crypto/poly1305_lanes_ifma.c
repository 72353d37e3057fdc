/*
 * Poly1305 of four messages at once, with AVX-512's multiplication of 52 bits. Run by whoever seals
 * or opens many messages.
 *
 * A vector has one limb of each of the four messages; numbers are limbs of 44, 44 and 42 bits: 130
 * in all. Messages end together, the shorter ones begin later: until then their blocks are zeros
 * without the bit above, which leaves a sum of zero as it is.
 */
#include "device/crypto/poly1305_lanes_ifma.h"

#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

#include "device/crypto/wipe.h"

#define TARGET __attribute__((target("avx512f,avx512vl,avx512ifma")))
/* Vectors are not passed to functions that are not part of the caller. */
#define TARGET_INLINE __attribute__((always_inline)) TARGET

enum {
	LIMBS = 3,
	LIMB_BITS = 44,
	LAST_BITS = 42,
	TURN = 4, /* blocks of a lane that are added at once */
};

/* A number for each lane. */
struct number44 {
	__m256i limb[LIMBS];
};

/* A power of r, and 20 times its limbs: 2^132, where the product of the limbs 1 and 2 stands, is 4
 * times 2^130, which counts five times. */
struct power44 {
	struct number44 r, r20;
};

static inline TARGET_INLINE __m256i low_bits(__m256i x, int n)
{
	return _mm256_and_si256(x, _mm256_set1_epi64x((INT64_C(1) << n) - 1));
}

/* x * 2^a + x * 2^b */
static inline TARGET_INLINE __m256i times(__m256i x, int a, int b)
{
	return _mm256_add_epi64(_mm256_slli_epi64(x, a), _mm256_slli_epi64(x, b));
}

/* The halves of 128 bits as limbs. */
static inline TARGET_INLINE struct number44 split(__m256i low, __m256i high)
{
	__m256i middle = _mm256_or_si256(_mm256_srli_epi64(low, 44), _mm256_slli_epi64(high, 20));

	return (struct number44){{
		low_bits(low, LIMB_BITS),
		low_bits(middle, LIMB_BITS),
		_mm256_srli_epi64(high, 24),
	}};
}

/* The bit above a block, 1 or 0 in each lane. */
static inline TARGET_INLINE void add_bits(struct number44 *to, __m256i bits)
{
	to->limb[2] = _mm256_add_epi64(to->limb[2], _mm256_slli_epi64(bits, 40));
}

/*
 * A sum of products, not carried: the lower 52 bits of each, and what is above. The limbs of what
 * is multiplied are below 2^46, those of a power below 2^45 and 20 times that below 2^50: the
 * halves of twelve products stay below 2^56.
 */
struct product44 {
	__m256i low[LIMBS], high[LIMBS];
};

static inline TARGET_INLINE void add_product(
	struct product44 *to, const struct number44 *a, const struct power44 *b)
{
#pragma GCC unroll 3
	for (int i = 0; i < LIMBS; i++)
#pragma GCC unroll 3
		for (int k = 0; k < LIMBS; k++) {
			__m256i factor = k <= i ? b->r.limb[i - k] : b->r20.limb[i - k + LIMBS];

			to->low[i] = _mm256_madd52lo_epu64(to->low[i], a->limb[k], factor);
			to->high[i] = _mm256_madd52hi_epu64(to->high[i], a->limb[k], factor);
		}
}

/* What is above 52 bits stands 8 bits above the next limb's beginning; above the last one at 2^140,
 * which is 2^8 times 2^132. */
static inline TARGET_INLINE struct number44 carry(const struct product44 *p)
{
	__m256i limb0 = _mm256_add_epi64(p->low[0], times(p->high[2], 8 + 4, 8 + 2));
	__m256i limb1 = _mm256_add_epi64(p->low[1], _mm256_slli_epi64(p->high[0], 8));
	__m256i limb2 = _mm256_add_epi64(p->low[2], _mm256_slli_epi64(p->high[1], 8));

	limb1 = _mm256_add_epi64(limb1, _mm256_srli_epi64(limb0, LIMB_BITS));
	limb2 = _mm256_add_epi64(limb2, _mm256_srli_epi64(limb1, LIMB_BITS));
	limb0 = _mm256_add_epi64(
		low_bits(limb0, LIMB_BITS), times(_mm256_srli_epi64(limb2, LAST_BITS), 2, 0));
	return (struct number44){{limb0, low_bits(limb1, LIMB_BITS), low_bits(limb2, LAST_BITS)}};
}

static inline TARGET_INLINE void set_power(struct power44 *power, const struct number44 *r)
{
	power->r = *r;
	for (int i = 0; i < LIMBS; i++)
		power->r20.limb[i] = times(r->limb[i], 4, 2);
}

/* A lane's sum, of a number's limbs, of which the first may have a carry left. */
static void set_sum(struct poly1305 *poly, const uint64_t limbs[LIMBS][POLY1305_LANES], int i)
{
	static const uint64_t mask = (UINT64_C(1) << LIMB_BITS) - 1;
	uint64_t second = limbs[1][i] + (limbs[0][i] >> LIMB_BITS);
	uint64_t third = limbs[2][i] + (second >> LIMB_BITS);

	second &= mask;
	poly1305_set(poly, (limbs[0][i] & mask) | (second & 0xff) << 44,
		second >> 8 | (third & 0xffff) << 36, third >> 16);
}

/* A block of each lane. */
static inline TARGET_INLINE struct number44 lanes_load(
	const uint8_t *const at[POLY1305_LANES], size_t offset)
{
	__m128i block[POLY1305_LANES];
	__m256i even, odd;

#pragma GCC unroll 4
	for (int i = 0; i < POLY1305_LANES; i++)
		block[i] = _mm_loadu_si128((const __m128i *)(const void *)(at[i] + offset));
	even = _mm256_inserti128_si256(_mm256_castsi128_si256(block[0]), block[2], 1);
	odd = _mm256_inserti128_si256(_mm256_castsi128_si256(block[1]), block[3], 1);
	return split(_mm256_unpacklo_epi64(even, odd), _mm256_unpackhi_epi64(even, odd));
}

static inline TARGET_INLINE void lanes_add(struct number44 *to, const struct number44 *x)
{
#pragma GCC unroll 3
	for (int i = 0; i < LIMBS; i++)
		to->limb[i] = _mm256_add_epi64(to->limb[i], x->limb[i]);
}

static inline TARGET_INLINE void lanes_multiply(struct number44 *x, const struct power44 *by)
{
	struct product44 product = {0};

	add_product(&product, x, by);
	*x = carry(&product);
}

/* RFC 8439, 2.5: the bits of r that must be clear */
static inline TARGET_INLINE struct number44 lanes_load_r(
	const struct poly1305_lane lanes[POLY1305_LANES])
{
	const __m128i clear = _mm_set_epi64x(0x0ffffffc0ffffffc, 0x0ffffffc0fffffff);
	uint8_t r[POLY1305_LANES][POLY1305_BLOCK];
	const uint8_t *const at[] = {r[0], r[1], r[2], r[3]};
	struct number44 number;

	for (int i = 0; i < POLY1305_LANES; i++) {
		__m128i block = _mm_loadu_si128((const __m128i *)(const void *)lanes[i].key);

		_mm_storeu_si128((__m128i *)(void *)r[i], _mm_and_si128(block, clear));
	}
	number = lanes_load(at, 0);
	wipe(r, sizeof r);
	return number;
}

static size_t lanes_blocks_of(const struct poly1305_lane *lane)
{
	return lane->n_data + lane->n_end;
}

static size_t lanes_longest(const struct poly1305_lane lanes[POLY1305_LANES])
{
	size_t most = 0;

	for (int i = 0; i < POLY1305_LANES; i++)
		most = lanes_blocks_of(&lanes[i]) > most ? lanes_blocks_of(&lanes[i]) : most;
	return most;
}

/* Where a lane's block lies in this step, of so many; NULL: it has not begun. */
static const uint8_t *lanes_block_at(const struct poly1305_lane *lane, size_t step, size_t steps)
{
	size_t late = steps - lanes_blocks_of(lane), n;

	if (step < late)
		return NULL;
	n = step - late;
	return n < lane->n_data ? lane->data + n * POLY1305_BLOCK
				: lane->end + (n - lane->n_data) * POLY1305_BLOCK;
}

/* One step, whatever each lane is at. */
static inline TARGET_INLINE void lanes_add_any(struct number44 *sum,
	const struct poly1305_lane lanes[POLY1305_LANES], size_t step, size_t steps,
	const struct power44 *r)
{
	static const uint8_t nothing[POLY1305_BLOCK];
	const uint8_t *at[POLY1305_LANES];
	int64_t bit[POLY1305_LANES];
	struct number44 block;

	for (int i = 0; i < POLY1305_LANES; i++) {
		at[i] = lanes_block_at(&lanes[i], step, steps);
		bit[i] = at[i] ? 1 : 0;
		at[i] = at[i] ? at[i] : nothing;
	}
	block = lanes_load(at, 0);
	add_bits(&block, _mm256_set_epi64x(bit[3], bit[2], bit[1], bit[0]));
	lanes_add(sum, &block);
	lanes_multiply(sum, r);
}

/* For how many steps from this one on all lanes have whole blocks where they lie. */
static size_t lanes_steps_together(
	const struct poly1305_lane lanes[POLY1305_LANES], size_t step, size_t steps)
{
	size_t least = SIZE_MAX;

	for (int i = 0; i < POLY1305_LANES; i++) {
		size_t late = steps - lanes_blocks_of(&lanes[i]), left;

		if (step < late || step - late >= lanes[i].n_data)
			return 0;
		left = lanes[i].n_data - (step - late);
		least = left < least ? left : least;
	}
	return least;
}

/* Some blocks of each lane a turn, say three: (sum + first) * r^3 + second * r^2 + third * r,
 * carried once. The sum waits for one multiplication in place of three. Returns how many steps were
 * done. */
static inline TARGET_INLINE size_t lanes_add_turns(struct number44 *sum,
	const uint8_t *const at[POLY1305_LANES], size_t n, const struct power44 powers[TURN])
{
	size_t step = 0;

	for (; step + TURN <= n; step += TURN) {
		struct product44 product = {0};

#pragma GCC unroll 4
		for (size_t i = TURN; i-- > 0;) {
			struct number44 block = lanes_load(at, (step + i) * POLY1305_BLOCK);

			add_bits(&block, _mm256_set1_epi64x(1));
			if (i == 0)
				lanes_add(&block, sum);
			add_product(&product, &block, &powers[TURN - 1 - i]);
		}
		*sum = carry(&product);
	}
	return step;
}

/* RFC 8439, 2.5.1, its last lines. */
static void lanes_make_tag(
	struct poly1305_lane *lane, const uint64_t limbs[LIMBS][POLY1305_LANES], int i)
{
	struct poly1305 poly;

	poly1305_begin(&poly, lane->key);
	set_sum(&poly, limbs, i);
	poly1305_end(&poly, lane->tag);
}

static inline TARGET_INLINE void make_all_tags(struct poly1305_lane lanes[POLY1305_LANES])
{
	size_t steps = lanes_longest(lanes), step = 0;
	uint64_t limbs[LIMBS][POLY1305_LANES];
	struct number44 sum = {0}, r = lanes_load_r(lanes);
	struct power44 powers[TURN]; /* r, r^2 and so on */

	set_power(&powers[0], &r);
	for (int i = 1; i < TURN; i++) {
		lanes_multiply(&r, &powers[0]);
		set_power(&powers[i], &r);
	}
	while (step < steps) {
		size_t together = lanes_steps_together(lanes, step, steps);

		if (together >= TURN) {
			const uint8_t *at[POLY1305_LANES];

			for (int i = 0; i < POLY1305_LANES; i++)
				at[i] = lanes_block_at(&lanes[i], step, steps);
			step += lanes_add_turns(&sum, at, together, powers);
		} else {
			lanes_add_any(&sum, lanes, step++, steps, &powers[0]);
		}
	}
	memcpy(limbs, &sum, sizeof limbs);
	for (int i = 0; i < POLY1305_LANES; i++)
		lanes_make_tag(&lanes[i], limbs, i);
	wipe(limbs, sizeof limbs);
	wipe(&sum, sizeof sum);
	wipe(&r, sizeof r);
	wipe(powers, sizeof powers);
}

TARGET void poly1305_lanes_ifma(struct poly1305_lane lanes[POLY1305_LANES])
{
	make_all_tags(lanes);
}

#endif
