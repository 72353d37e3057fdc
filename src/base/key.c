/* Parses, writes, derives and compares keys. No state: any thread may call it. */
#include "base/key.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int key_parse(const char *text, size_t length, struct key *key)
{
	enum { DIGITS = 43 }; /* 43 digits and one '=' make 32 bytes */
	uint32_t bits = 0;
	unsigned int n_bits = 0, n_digits = 0, n_padding = 0;
	size_t n_bytes = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\r' || text[i] == '\n')
			continue;
		if (text[i] == '=') {
			n_padding++;
			continue;
		}
		int digit = base64_digit(text[i]);
		if (digit < 0 || n_padding > 0 || ++n_digits > DIGITS)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			key->bytes[n_bytes++] = (uint8_t)(bits >> n_bits);
		}
	}
	return n_digits == DIGITS && n_padding == 1 ? 0 : -EINVAL;
}

struct key_text key_text(const struct key *key)
{
	struct key_text text;

	EVP_EncodeBlock((unsigned char *)text.s, key->bytes, KEY_SIZE);
	return text;
}

bool key_equal(const struct key *a, const struct key *b)
{
	return CRYPTO_memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

bool key_is_zero(const struct key *key)
{
	static const struct key zero;

	return key_equal(key, &zero);
}

bool key_is_low_order(const struct key *key)
{
	/* https://cr.yp.to/ecdh.html#validate, but for bit 255, which X25519 ignores (RFC 7748,
	 * section 5): the points of order 1, 2, 4 and 8 of the curve and its twist, and those that
	 * can be written as a number that is not less than the prime p. */
	static const struct key points[] = {
		{{0}}, {{1}},
		{{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1,
			0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86,
			0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00}},
		{{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c,
			0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8,
			0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57}},
		{{0xec, [1 ... 30] = 0xff, [31] = 0x7f}}, /* p - 1 */
		{{0xed, [1 ... 30] = 0xff, [31] = 0x7f}}, /* p */
		{{0xee, [1 ... 30] = 0xff, [31] = 0x7f}}, /* p + 1 */
	};
	struct key masked = *key;

	masked.bytes[KEY_SIZE - 1] &= 0x7f;
	for (size_t i = 0; i < sizeof points / sizeof *points; i++)
		if (key_equal(&masked, &points[i]))
			return true;
	return false;
}

int key_generate_private(struct key *key)
{
	if (getrandom(key->bytes, KEY_SIZE, 0) != KEY_SIZE)
		return -EIO;
	key_clamp(key);
	return 0;
}

void key_clamp(struct key *key)
{
	key->bytes[0] &= 248;
	key->bytes[KEY_SIZE - 1] = (key->bytes[KEY_SIZE - 1] & 127) | 64;
}

int key_derive_public(const struct key *private_key, struct key *public_key)
{
	size_t length = KEY_SIZE;
	EVP_PKEY *pkey =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key->bytes, KEY_SIZE);
	int ok = pkey && EVP_PKEY_get_raw_public_key(pkey, public_key->bytes, &length) == 1 &&
		 length == KEY_SIZE;

	EVP_PKEY_free(pkey);
	return ok ? 0 : -EIO;
}

void key_wipe(struct key *key)
{
	explicit_bzero(key, sizeof *key);
}
