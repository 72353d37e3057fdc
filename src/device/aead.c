#include "device/aead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

enum {
	NONCE_SIZE = 12,
	NONCE_COUNTER = 4, /* where the counter begins in the nonce */
};

/* One for each direction: turning a context round would set its key up anew. */
struct direction {
	EVP_CIPHER_CTX *context;
	struct aead_key key; /* that is set up in it */
	bool has_key;
};

struct aead {
	EVP_CIPHER *cipher;
	struct direction seal, open;
};

struct aead *aead_new(void)
{
	static const struct aead_key zero;
	struct aead *aead = calloc(1, sizeof(*aead));

	if (!aead)
		return NULL;
	aead->cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	aead->seal.context = EVP_CIPHER_CTX_new();
	aead->open.context = EVP_CIPHER_CTX_new();
	if (!aead->cipher || !aead->seal.context || !aead->open.context ||
		EVP_EncryptInit_ex2(
			aead->seal.context, aead->cipher, zero.bytes, zero.bytes, NULL) != 1 ||
		EVP_DecryptInit_ex2(
			aead->open.context, aead->cipher, zero.bytes, zero.bytes, NULL) != 1) {
		aead_free(aead);
		errno = EIO;
		return NULL;
	}
	return aead;
}

void aead_free(struct aead *aead)
{
	if (!aead)
		return;
	EVP_CIPHER_CTX_free(aead->seal.context); /* wipes its copy of the key */
	EVP_CIPHER_CTX_free(aead->open.context);
	EVP_CIPHER_free(aead->cipher);
	explicit_bzero(aead, sizeof *aead);
	free(aead);
}

/* In constant time, and faster than a loop over bytes. */
static bool same_key(const struct aead_key *a, const struct aead_key *b)
{
	uint64_t x[4], y[4];

	memcpy(x, a->bytes, sizeof x);
	memcpy(y, b->bytes, sizeof y);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

/* Returns the key if it must be set up, NULL if it is already. */
static const uint8_t *key_to_set(struct direction *direction, const struct aead_key *key)
{
	if (direction->has_key && same_key(&direction->key, key))
		return NULL;
	direction->key = *key;
	direction->has_key = true;
	return direction->key.bytes;
}

static void make_nonce(uint64_t counter, uint8_t nonce[NONCE_SIZE])
{
	struct le64 le = le64_make(counter);

	memset(nonce, 0, NONCE_COUNTER);
	memcpy(nonce + NONCE_COUNTER, le.bytes, sizeof le.bytes);
}

int aead_seal(struct aead *aead, const struct aead_key *key, uint64_t counter, const void *ad,
	size_t ad_length, const uint8_t *in, size_t n, uint8_t *out)
{
	EVP_CIPHER_CTX *context = aead->seal.context;
	uint8_t nonce[NONCE_SIZE];
	int written;

	make_nonce(counter, nonce);
	if (EVP_EncryptInit_ex2(context, NULL, key_to_set(&aead->seal, key), nonce, NULL) != 1)
		return -EIO;
	if (ad_length > 0 && EVP_EncryptUpdate(context, NULL, &written, ad, (int)ad_length) != 1)
		return -EIO;
	if (n > 0 && EVP_EncryptUpdate(context, out, &written, in, (int)n) != 1)
		return -EIO;
	if (EVP_EncryptFinal_ex(context, out + n, &written) != 1)
		return -EIO;
	if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + n) != 1)
		return -EIO;
	return 0;
}

int aead_open(struct aead *aead, const struct aead_key *key, uint64_t counter, const void *ad,
	size_t ad_length, const uint8_t *in, size_t n, uint8_t *out)
{
	EVP_CIPHER_CTX *context = aead->open.context;
	uint8_t nonce[NONCE_SIZE], tag[AEAD_TAG_SIZE];
	int written;

	if (n < AEAD_TAG_SIZE)
		return -EBADMSG;
	n -= AEAD_TAG_SIZE;
	memcpy(tag, in + n, sizeof tag);
	make_nonce(counter, nonce);
	if (EVP_DecryptInit_ex2(context, NULL, key_to_set(&aead->open, key), nonce, NULL) != 1)
		return -EIO;
	if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) != 1)
		return -EIO;
	if (ad_length > 0 && EVP_DecryptUpdate(context, NULL, &written, ad, (int)ad_length) != 1)
		return -EIO;
	if (n > 0 && EVP_DecryptUpdate(context, out, &written, in, (int)n) != 1)
		return -EIO;
	return EVP_DecryptFinal_ex(context, tag, &written) == 1 ? 0 : -EBADMSG;
}

size_t aead_seal_batch(
	struct aead *aead, const struct aead_key *key, struct aead_item *items, size_t n)
{
	size_t good = 0;

	for (size_t i = 0; i < n; i++) {
		items[i].good = aead_seal(aead, key, items[i].counter, NULL, 0, items[i].in,
					items[i].length, items[i].out) == 0;
		good += items[i].good;
	}
	return good;
}

size_t aead_open_batch(
	struct aead *aead, const struct aead_key *key, struct aead_item *items, size_t n)
{
	size_t good = 0;

	for (size_t i = 0; i < n; i++) {
		items[i].good = aead_open(aead, key, items[i].counter, NULL, 0, items[i].in,
					items[i].length, items[i].out) == 0;
		good += items[i].good;
	}
	return good;
}

static void forget(struct direction *direction)
{
	static const struct aead_key zero;

	/* The context keeps a copy of its own: overwritten by another key. */
	EVP_CipherInit_ex2(direction->context, NULL, zero.bytes, NULL, -1, NULL);
	explicit_bzero(&direction->key, sizeof direction->key);
	direction->has_key = false;
}

void aead_forget(struct aead *aead)
{
	if (aead->seal.has_key)
		forget(&aead->seal);
	if (aead->open.has_key)
		forget(&aead->open);
}

/* What is left of the nonce after HChaCha20 has used 16 bytes of it stands where the counter does.
 */
static uint64_t rest_of_nonce(const uint8_t nonce[COOKIE_NONCE_SIZE])
{
	struct le64 rest;

	memcpy(rest.bytes, nonce + 16, sizeof rest.bytes);
	return le64_get(rest);
}

int aead_xseal(struct aead *aead, const struct aead_key *key,
	const uint8_t nonce[COOKIE_NONCE_SIZE], const void *ad, size_t ad_length, const uint8_t *in,
	size_t n, uint8_t *out)
{
	struct aead_key subkey;
	int error;

	hchacha20(key, nonce, &subkey);
	error = aead_seal(aead, &subkey, rest_of_nonce(nonce), ad, ad_length, in, n, out);
	explicit_bzero(&subkey, sizeof subkey);
	return error;
}

int aead_xopen(struct aead *aead, const struct aead_key *key,
	const uint8_t nonce[COOKIE_NONCE_SIZE], const void *ad, size_t ad_length, const uint8_t *in,
	size_t n, uint8_t *out)
{
	struct aead_key subkey;
	int error;

	hchacha20(key, nonce, &subkey);
	error = aead_open(aead, &subkey, rest_of_nonce(nonce), ad, ad_length, in, n, out);
	explicit_bzero(&subkey, sizeof subkey);
	return error;
}
