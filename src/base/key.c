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

int key_generate_private(struct key *key)
{
	if (getrandom(key->bytes, KEY_SIZE, 0) != KEY_SIZE)
		return -EIO;
	key->bytes[0] &= 248; /* RFC 7748, section 5 */
	key->bytes[31] = (key->bytes[31] & 127) | 64;
	return 0;
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
