/*
 * Poly1305 of four messages at once, with AVX-512's multiplication of 52 bits. Run by whoever seals
 * or opens many messages.
 *
 * Numbers are limbs of 44, 44 and 42 bits: 130 in all.
 */
#include "device/crypto/poly1305_lanes_ifma.h"

#ifdef __x86_64__

#include <immintrin.h>

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

#define NUMBER struct number44
#define POWER struct power44
#define PRODUCT struct product44
#include "device/crypto/poly1305_lanes_body.h"

TARGET void poly1305_lanes_ifma(struct poly1305_lane lanes[POLY1305_LANES])
{
	make_all_tags(lanes);
}

#endif
