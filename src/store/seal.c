/* Seals records and opens them. Runs in the store's process. */
#include "store/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

enum {
	FORMAT = 1,
	NONCE_SIZE = 12,

	/* places in the header */
	AT_KEY_ID = 4,
	AT_SALT = 8,
	AT_EPOCH = 24,
	AT_COUNTER = 32,
};

struct subkey {
	bool is_derived; /* else the key is none, and nobody's record may open under it */
	uint32_t key_id;
	uint8_t salt[SEAL_SALT_SIZE];
	struct key key;
};

struct sealer {
	struct fleet_keys keys;
	struct subkey own; /* seals */
	struct subkey last; /* what was opened last: most records of an endpoint are one process's
			     */
	uint64_t counter;
	EVP_CIPHER_CTX *cipher;
	EVP_KDF *hkdf;
};

static void put(uint8_t *at, uint64_t value, int n)
{
	for (int i = n; i-- > 0; value >>= 8)
		at[i] = (uint8_t)value;
}

static uint64_t get(const uint8_t *at, int n)
{
	uint64_t value = 0;

	for (int i = 0; i < n; i++)
		value = value << 8 | at[i];
	return value;
}

static int derive(struct sealer *sealer, const struct key *key, struct subkey *subkey)
{
	static char digest[] = "SHA256", info[] = "vprox record";
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(sealer->hkdf);
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)key->bytes, sizeof key->bytes),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SALT, subkey->salt, sizeof subkey->salt),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info - 1),
		OSSL_PARAM_construct_end(),
	};
	bool ok = context && EVP_KDF_derive(context, subkey->key.bytes, sizeof subkey->key.bytes,
				     parameters) == 1;

	EVP_KDF_CTX_free(context);
	subkey->is_derived = ok;
	return ok ? 0 : -EIO;
}

int sealer_new(
	const struct fleet_keys *keys, const uint8_t salt[SEAL_SALT_SIZE], struct sealer **result)
{
	struct sealer *sealer = calloc(1, sizeof *sealer);
	int error = -ENOMEM;

	if (!sealer)
		return error;
	sealer->keys = *keys;
	sealer->own.key_id = fleet_key_id(&keys->keys[0]);
	memcpy(sealer->own.salt, salt, SEAL_SALT_SIZE);
	sealer->cipher = EVP_CIPHER_CTX_new();
	sealer->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (sealer->cipher && sealer->hkdf)
		error = derive(sealer, &keys->keys[0], &sealer->own);
	if (error < 0) {
		sealer_free(sealer);
		return error;
	}
	*result = sealer;
	return 0;
}

void sealer_free(struct sealer *sealer)
{
	if (!sealer)
		return;
	EVP_CIPHER_CTX_free(sealer->cipher);
	EVP_KDF_free(sealer->hkdf);
	explicit_bzero(sealer, sizeof *sealer);
	free(sealer);
}

/* The nonce is the counter; header and name are authenticated. */
static bool begin(struct sealer *sealer, const struct key *key, const uint8_t *header,
	const char *name, int seals)
{
	uint8_t nonce[NONCE_SIZE] = {0};
	int n;

	memcpy(nonce + NONCE_SIZE - 8, header + AT_COUNTER, 8);
	return EVP_CipherInit_ex2(sealer->cipher, EVP_chacha20_poly1305(), key->bytes, nonce, seals,
		       NULL) == 1 &&
	       EVP_CipherUpdate(sealer->cipher, NULL, &n, header, SEAL_HEADER_SIZE) == 1 &&
	       EVP_CipherUpdate(
		       sealer->cipher, NULL, &n, (const uint8_t *)name, (int)strlen(name)) == 1;
}

int sealer_seal(struct sealer *sealer, const char *name, uint64_t epoch, const void *plain,
	size_t n, uint8_t *sealed)
{
	uint8_t *text = sealed + SEAL_HEADER_SIZE;
	int done;

	memset(sealed, 0, SEAL_HEADER_SIZE);
	sealed[0] = FORMAT;
	put(sealed + AT_KEY_ID, sealer->own.key_id, 4);
	memcpy(sealed + AT_SALT, sealer->own.salt, SEAL_SALT_SIZE);
	put(sealed + AT_EPOCH, epoch, 8);
	put(sealed + AT_COUNTER, sealer->counter++, 8);
	if (begin(sealer, &sealer->own.key, sealed, name, 1) &&
		EVP_CipherUpdate(sealer->cipher, text, &done, plain, (int)n) == 1 &&
		EVP_CipherFinal_ex(sealer->cipher, text + n, &done) == 1 &&
		EVP_CIPHER_CTX_ctrl(
			sealer->cipher, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_SIZE, text + n) == 1)
		return 0;
	return -EIO;
}

bool sealer_has_second_key(const struct sealer *sealer)
{
	return sealer->keys.n > 1;
}

bool sealer_is_first_key(const struct sealer *sealer, const uint8_t *sealed, size_t size)
{
	return size >= SEAL_OVERHEAD && get(sealed + AT_KEY_ID, 4) == sealer->own.key_id;
}

/* Of the header; it stays in sealer->last. */
static int find_subkey(struct sealer *sealer, const uint8_t *header)
{
	const uint32_t id = (uint32_t)get(header + AT_KEY_ID, 4);
	struct subkey *last = &sealer->last;

	if (last->is_derived && last->key_id == id &&
		memcmp(last->salt, header + AT_SALT, SEAL_SALT_SIZE) == 0)
		return 0;
	for (size_t i = 0; i < sealer->keys.n; i++) {
		if (fleet_key_id(&sealer->keys.keys[i]) != id)
			continue;
		last->key_id = id;
		memcpy(last->salt, header + AT_SALT, SEAL_SALT_SIZE);
		return derive(sealer, &sealer->keys.keys[i], last);
	}
	return -ENOKEY;
}

int sealer_open(struct sealer *sealer, const char *name, const uint8_t *sealed, size_t size,
	void *plain, size_t n, uint64_t *epoch)
{
	const uint8_t *text = sealed + SEAL_HEADER_SIZE;
	int done, error;

	if (size != n + SEAL_OVERHEAD || sealed[0] != FORMAT)
		return -EBADMSG;
	error = find_subkey(sealer, sealed);
	if (error < 0)
		return error;
	if (begin(sealer, &sealer->last.key, sealed, name, 0) &&
		EVP_CipherUpdate(sealer->cipher, plain, &done, text, (int)n) == 1 &&
		EVP_CIPHER_CTX_ctrl(sealer->cipher, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_SIZE,
			(void *)(text + n)) == 1 &&
		EVP_CipherFinal_ex(sealer->cipher, (uint8_t *)plain + n, &done) == 1) {
		*epoch = get(sealed + AT_EPOCH, 8);
		return 0;
	}
	/* What was made of it is nobody's. */
	explicit_bzero(plain, n);
	return -EBADMSG;
}
