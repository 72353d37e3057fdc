#include <string.h>

#include "device/aead.h"

enum { DOUBLE_ROUNDS = 10 };

static uint32_t load32(const uint8_t *p)
{
	struct le32 v;

	memcpy(v.bytes, p, sizeof v.bytes);
	return le32_get(v);
}

static uint32_t rotate_left(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* RFC 8439, 2.1 */
static void quarter_round(uint32_t s[16], int a, int b, int c, int d)
{
	s[a] += s[b];
	s[d] = rotate_left(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate_left(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = rotate_left(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate_left(s[b] ^ s[c], 7);
}

void hchacha20(const struct aead_key *key, const uint8_t nonce[16], struct aead_key *subkey)
{
	/* "expand 32-byte k" */
	uint32_t s[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	for (int i = 0; i < 8; i++)
		s[4 + i] = load32(key->bytes + 4 * i);
	for (int i = 0; i < 4; i++)
		s[12 + i] = load32(nonce + 4 * i);
	for (int i = 0; i < DOUBLE_ROUNDS; i++) {
		quarter_round(s, 0, 4, 8, 12);
		quarter_round(s, 1, 5, 9, 13);
		quarter_round(s, 2, 6, 10, 14);
		quarter_round(s, 3, 7, 11, 15);
		quarter_round(s, 0, 5, 10, 15);
		quarter_round(s, 1, 6, 11, 12);
		quarter_round(s, 2, 7, 8, 13);
		quarter_round(s, 3, 4, 9, 14);
	}
	/* The first and the last row, without ChaCha20's final addition. */
	for (int i = 0; i < 4; i++) {
		struct le32 first = le32_make(s[i]), last = le32_make(s[12 + i]);

		memcpy(subkey->bytes + 4 * i, first.bytes, sizeof first.bytes);
		memcpy(subkey->bytes + 16 + 4 * i, last.bytes, sizeof last.bytes);
	}
	explicit_bzero(s, sizeof s);
}
