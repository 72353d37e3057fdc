/*
 * The AEAD, one message at a time: for handshakes, cookies, and whatever has additional data. Each
 * thread has a context of its own.
 */
#include "device/crypto/aead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/endian.h"
#include "device/crypto/chacha20.h"
#include "device/crypto/library.h"
#include "device/crypto/poly1305.h"

enum { MAX_LENGTH = 1 << 16 };

struct aead {
	struct library *library;
};

struct aead *aead_new(void)
{
	struct aead *aead = malloc(sizeof *aead);

	if (!aead)
		return NULL;
	aead->library = library_new();
	if (aead->library)
		return aead;
	free(aead);
	return NULL;
}

void aead_free(struct aead *aead)
{
	if (!aead)
		return;
	library_free(aead->library);
	free(aead);
}

/* RFC 8439, 2.8: data, filled up to whole blocks. */
static void add_padded(struct poly1305 *poly, const uint8_t *data, size_t n)
{
	size_t rest = n % POLY1305_BLOCK;
	uint8_t last[POLY1305_BLOCK] = {0};

	poly1305_add(poly, data, n / POLY1305_BLOCK);
	if (rest == 0)
		return;
	memcpy(last, data + (n - rest), rest);
	poly1305_add(poly, last, 1);
}

/* RFC 8439, 2.6 and 2.8: the key is the first half of block 0; additional data, sealed bytes, and
 * their lengths. */
static void make_tag(const struct aead_key *key, uint64_t counter, const void *ad, size_t ad_length,
	const uint8_t *sealed, size_t n, uint8_t tag[AEAD_TAG_SIZE])
{
	struct le64 lengths[2] = {le64_make(ad_length), le64_make(n)};
	uint8_t block[CHACHA20_BLOCK];
	struct poly1305 poly;

	chacha20_block(key->bytes, 0, counter, block);
	poly1305_begin(&poly, block);
	add_padded(&poly, ad, ad_length);
	add_padded(&poly, sealed, n);
	poly1305_add(&poly, (const uint8_t *)lengths, 1);
	poly1305_end(&poly, tag);
	explicit_bzero(block, sizeof block);
}

int aead_seal(struct aead *aead, const struct aead_key *key, uint64_t counter, const void *ad,
	size_t ad_length, const uint8_t *in, size_t n, uint8_t *out)
{
	int error;

	if (n > MAX_LENGTH)
		return -EMSGSIZE;
	error = library_stream(aead->library, key->bytes, counter, 1, in, n, out);
	if (!error)
		make_tag(key, counter, ad, ad_length, out, n, out + n);
	return error;
}

int aead_open(struct aead *aead, const struct aead_key *key, uint64_t counter, const void *ad,
	size_t ad_length, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t tag[AEAD_TAG_SIZE];

	if (n < AEAD_TAG_SIZE)
		return -EBADMSG;
	n -= AEAD_TAG_SIZE;
	if (n > MAX_LENGTH)
		return -EMSGSIZE;
	make_tag(key, counter, ad, ad_length, in, n, tag);
	if (CRYPTO_memcmp(tag, in + n, AEAD_TAG_SIZE) != 0)
		return -EBADMSG;
	return library_stream(aead->library, key->bytes, counter, 1, in, n, out);
}

void aead_forget(struct aead *aead)
{
	library_forget(aead->library);
}

/* What is left of the nonce after HChaCha20 has used 16 bytes of it stands where the counter does.
 */
static uint64_t rest_of_nonce(const uint8_t nonce[AEAD_XNONCE_SIZE])
{
	struct le64 rest;

	memcpy(rest.bytes, nonce + 16, sizeof rest.bytes);
	return le64_get(rest);
}

int aead_xseal(struct aead *aead, const struct aead_key *key, const uint8_t nonce[AEAD_XNONCE_SIZE],
	const void *ad, size_t ad_length, const uint8_t *in, size_t n, uint8_t *out)
{
	struct aead_key subkey;
	int error;

	hchacha20(key->bytes, nonce, subkey.bytes);
	error = aead_seal(aead, &subkey, rest_of_nonce(nonce), ad, ad_length, in, n, out);
	explicit_bzero(&subkey, sizeof subkey);
	return error;
}

int aead_xopen(struct aead *aead, const struct aead_key *key, const uint8_t nonce[AEAD_XNONCE_SIZE],
	const void *ad, size_t ad_length, const uint8_t *in, size_t n, uint8_t *out)
{
	struct aead_key subkey;
	int error;

	hchacha20(key->bytes, nonce, subkey.bytes);
	error = aead_open(aead, &subkey, rest_of_nonce(nonce), ad, ad_length, in, n, out);
	explicit_bzero(&subkey, sizeof subkey);
	return error;
}
