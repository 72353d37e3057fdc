/*
 * Poly1305 of four messages at once. The file that includes this says how numbers are kept and
 * multiplied: TARGET, an attribute of its functions, LIMBS, TURN, the types NUMBER, POWER and
 * PRODUCT, and what is done with them.
 *
 * A vector has one limb of each of the four messages. Messages end together, the shorter ones begin
 * later: until then their blocks are zeros without the bit above, which leaves a sum of zero as it
 * is.
 */
#include <string.h>

#include "device/crypto/wipe.h"

/* A block of each lane. */
static inline TARGET_INLINE NUMBER lanes_load(
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

static inline TARGET_INLINE void lanes_add(NUMBER *to, const NUMBER *x)
{
#pragma GCC unroll 5
	for (int i = 0; i < LIMBS; i++)
		to->limb[i] = _mm256_add_epi64(to->limb[i], x->limb[i]);
}

static inline TARGET_INLINE void lanes_multiply(NUMBER *x, const POWER *by)
{
	PRODUCT product = {0};

	add_product(&product, x, by);
	*x = carry(&product);
}

/* RFC 8439, 2.5: the bits of r that must be clear */
static inline TARGET_INLINE NUMBER lanes_load_r(const struct poly1305_lane lanes[POLY1305_LANES])
{
	const __m128i clear = _mm_set_epi64x(0x0ffffffc0ffffffc, 0x0ffffffc0fffffff);
	uint8_t r[POLY1305_LANES][POLY1305_BLOCK];
	const uint8_t *const at[] = {r[0], r[1], r[2], r[3]};
	NUMBER number;

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
static inline TARGET_INLINE void lanes_add_any(NUMBER *sum,
	const struct poly1305_lane lanes[POLY1305_LANES], size_t step, size_t steps, const POWER *r)
{
	static const uint8_t nothing[POLY1305_BLOCK];
	const uint8_t *at[POLY1305_LANES];
	int64_t bit[POLY1305_LANES];
	NUMBER block;

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
static inline TARGET_INLINE size_t lanes_add_turns(
	NUMBER *sum, const uint8_t *const at[POLY1305_LANES], size_t n, const POWER powers[TURN])
{
	size_t step = 0;

	for (; step + TURN <= n; step += TURN) {
		PRODUCT product = {0};

#pragma GCC unroll 4
		for (size_t i = TURN; i-- > 0;) {
			NUMBER block = lanes_load(at, (step + i) * POLY1305_BLOCK);

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
	NUMBER sum = {0}, r = lanes_load_r(lanes);
	POWER powers[TURN]; /* r, r^2 and so on */

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
