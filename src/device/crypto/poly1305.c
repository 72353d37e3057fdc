/* Poly1305, in plain C, for short messages. Run by whoever seals or opens. */
#include "device/crypto/poly1305.h"

#include <string.h>

#include "base/endian.h"
#include "device/crypto/wipe.h"

typedef unsigned __int128 wide128;

static uint64_t load64(const uint8_t *p)
{
	struct le64 v;

	memcpy(v.bytes, p, sizeof v.bytes);
	return le64_get(v);
}

static uint64_t low(wide128 x)
{
	return (uint64_t)x;
}

static uint64_t high(wide128 x)
{
	return (uint64_t)(x >> 64);
}

void poly1305_begin(struct poly1305 *poly, const uint8_t key[POLY1305_KEY])
{
	/* RFC 8439, 2.5: the bits of r that must be clear */
	poly->r[0] = load64(key) & UINT64_C(0x0ffffffc0fffffff);
	poly->r[1] = load64(key + 8) & UINT64_C(0x0ffffffc0ffffffc);
	poly->s[0] = load64(key + 16);
	poly->s[1] = load64(key + 24);
	memset(poly->h, 0, sizeof poly->h);
}

/* h += c, with carries. */
static void add(uint64_t h[3], uint64_t c0, uint64_t c1, uint64_t c2)
{
	wide128 sum = (wide128)h[0] + c0;

	h[0] = low(sum);
	sum = (wide128)h[1] + c1 + high(sum);
	h[1] = low(sum);
	h[2] += c2 + high(sum);
}

/*
 * h = h * r modulo 2^130 - 5, nearly: what is above 2^130 counts five times, and is added once
 * more. r is less than 2^124, in halves of less than 2^60, and h[2] less than 8, so that no sum
 * overflows.
 */
static void multiply(uint64_t h[3], const uint64_t r[2])
{
	wide128 p0 = (wide128)h[0] * r[0];
	wide128 p1 = (wide128)h[0] * r[1] + (wide128)h[1] * r[0];
	wide128 p2 = (wide128)h[1] * r[1] + (wide128)h[2] * r[0];
	uint64_t p3 = h[2] * r[1];
	uint64_t above;

	h[0] = low(p0);
	p1 += high(p0);
	h[1] = low(p1);
	p2 += high(p1);
	p3 += high(p2);
	above = low(p2);
	h[2] = above & 3;
	above &= ~UINT64_C(3);
	add(h, above, p3, 0); /* four times */
	add(h, above >> 2 | p3 << 62, p3 >> 2, 0); /* and once */
}

void poly1305_add(struct poly1305 *poly, const uint8_t *data, size_t n_blocks)
{
	for (; n_blocks > 0; n_blocks--, data += POLY1305_BLOCK) {
		add(poly->h, load64(data), load64(data + 8), 1);
		multiply(poly->h, poly->r);
	}
}

void poly1305_set(struct poly1305 *poly, uint64_t low52, uint64_t middle52, uint64_t above)
{
	poly->h[0] = low52;
	poly->h[1] = poly->h[2] = 0;
	add(poly->h, middle52 << 52, middle52 >> 12, 0);
	add(poly->h, 0, above << 40, above >> 24);
}

void poly1305_end(struct poly1305 *poly, uint8_t tag[POLY1305_BLOCK])
{
	uint64_t less[3] = {poly->h[0], poly->h[1], poly->h[2]}, mask;
	struct le64 halves[2];

	/* h or, if it is not less than 2^130 - 5, h without that: that is h + 5, but for bit 130 */
	add(less, 5, 0, 0);
	mask = 0 - (uint64_t)(less[2] >> 2 != 0);
	poly->h[0] ^= mask & (poly->h[0] ^ less[0]);
	poly->h[1] ^= mask & (poly->h[1] ^ less[1]);
	add(poly->h, poly->s[0], poly->s[1], 0);
	halves[0] = le64_make(poly->h[0]);
	halves[1] = le64_make(poly->h[1]);
	memcpy(tag, halves, sizeof halves);
	wipe(poly, sizeof *poly);
	wipe(less, sizeof less);
}
