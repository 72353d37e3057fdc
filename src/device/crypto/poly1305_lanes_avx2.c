/*
 * Poly1305 of four messages at once, with AVX2. Run by whoever seals or opens many messages.
 *
 * Numbers are five limbs of 26 bits.
 */
#include "device/crypto/poly1305_lanes_avx2.h"

#ifdef __x86_64__

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
/* Vectors are not passed to functions that are not part of the caller. */
#define TARGET_INLINE __attribute__((always_inline)) TARGET

enum {
	LIMBS = 5,
	LIMB_BITS = 26,
	TURN = 2, /* blocks of a lane that are added at once: more were no faster */
};

/* A number for each lane. */
struct number26 {
	__m256i limb[LIMBS];
};

/* A power of r, and five times its limbs: what is above 2^130 counts five times. */
struct power26 {
	struct number26 r, r5;
};

static inline TARGET_INLINE __m256i low_bits(__m256i x)
{
	return _mm256_and_si256(x, _mm256_set1_epi64x((1 << LIMB_BITS) - 1));
}

static inline TARGET_INLINE __m256i five_times(__m256i x)
{
	return _mm256_add_epi64(x, _mm256_slli_epi64(x, 2));
}

/* The halves of 128 bits as limbs. */
static inline TARGET_INLINE struct number26 split(__m256i low, __m256i high)
{
	return (struct number26){{
		low_bits(low),
		low_bits(_mm256_srli_epi64(low, 26)),
		low_bits(_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12))),
		low_bits(_mm256_srli_epi64(high, 14)),
		_mm256_srli_epi64(high, 40),
	}};
}

/* The bit above a block, 1 or 0 in each lane. */
static inline TARGET_INLINE void add_bits(struct number26 *to, __m256i bits)
{
	to->limb[4] = _mm256_add_epi64(to->limb[4], _mm256_slli_epi64(bits, 24));
}

/*
 * A sum of products, not carried. The limbs of what is multiplied are below 2^28, those of a power
 * below 2^26 + 2^12 and their fives below 2^29: ten products stay below 2^61.
 */
struct product26 {
	__m256i limb[LIMBS];
};

static inline TARGET_INLINE void add_product(
	struct product26 *to, const struct number26 *a, const struct power26 *b)
{
#pragma GCC unroll 5
	for (int i = 0; i < LIMBS; i++)
#pragma GCC unroll 5
		for (int k = 0; k < LIMBS; k++) {
			__m256i factor = k <= i ? b->r.limb[i - k] : b->r5.limb[i - k + LIMBS];

			to->limb[i] =
				_mm256_add_epi64(to->limb[i], _mm256_mul_epu32(a->limb[k], factor));
		}
}

static inline TARGET_INLINE void carry_one(struct number26 *x, int from)
{
	int to = (from + 1) % LIMBS;
	__m256i above = _mm256_srli_epi64(x->limb[from], LIMB_BITS);

	x->limb[from] = low_bits(x->limb[from]);
	x->limb[to] = _mm256_add_epi64(x->limb[to], from == 4 ? five_times(above) : above);
}

/* Two chains at a time, so that one need not wait for the other. */
static inline TARGET_INLINE struct number26 carry(const struct product26 *p)
{
	struct number26 x = {{p->limb[0], p->limb[1], p->limb[2], p->limb[3], p->limb[4]}};

	carry_one(&x, 0);
	carry_one(&x, 3);
	carry_one(&x, 1);
	carry_one(&x, 4);
	carry_one(&x, 2);
	carry_one(&x, 0);
	carry_one(&x, 3);
	return x;
}

static inline TARGET_INLINE void set_power(struct power26 *power, const struct number26 *r)
{
	power->r = *r;
	for (int i = 0; i < LIMBS; i++)
		power->r5.limb[i] = five_times(r->limb[i]);
}

/* A lane's sum, of a number's limbs. */
static void set_sum(struct poly1305 *poly, const uint64_t limbs[LIMBS][POLY1305_LANES], int i)
{
	poly1305_set(poly, limbs[0][i] + (limbs[1][i] << 26), limbs[2][i] + (limbs[3][i] << 26),
		limbs[4][i]);
}

#define NUMBER struct number26
#define POWER struct power26
#define PRODUCT struct product26
#include "device/crypto/poly1305_lanes_body.h"

TARGET void poly1305_lanes_avx2(struct poly1305_lane lanes[POLY1305_LANES])
{
	make_all_tags(lanes);
}

#endif
