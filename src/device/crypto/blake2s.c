/*
 * BLAKE2s out of the library, for handshakes. The control thread has a context, and each worker one
 * for the mac1 filter.
 */
#include "device/crypto/blake2s.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

struct blake2s {
	EVP_MD *md;
	EVP_MD_CTX *hash;
	EVP_MAC *mac_type;
	EVP_MAC_CTX *mac;
};

struct blake2s *blake2s_new(void)
{
	size_t mac_size = BLAKE2S_MAC_SIZE;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &mac_size),
		OSSL_PARAM_construct_end()};
	struct blake2s *blake2s = calloc(1, sizeof(*blake2s));

	if (!blake2s)
		return NULL;
	/* Fetched once: looking an algorithm up takes longer than hashing with it. */
	blake2s->md = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	blake2s->hash = EVP_MD_CTX_new();
	blake2s->mac_type = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	blake2s->mac = blake2s->mac_type ? EVP_MAC_CTX_new(blake2s->mac_type) : NULL;
	if (!blake2s->md || !blake2s->hash || !blake2s->mac ||
		EVP_MAC_CTX_set_params(blake2s->mac, params) != 1) {
		blake2s_free(blake2s);
		errno = EIO;
		return NULL;
	}
	return blake2s;
}

void blake2s_free(struct blake2s *blake2s)
{
	if (!blake2s)
		return;
	EVP_MAC_CTX_free(blake2s->mac);
	EVP_MAC_free(blake2s->mac_type);
	EVP_MD_CTX_free(blake2s->hash);
	EVP_MD_free(blake2s->md);
	free(blake2s);
}

int blake2s_hash(struct blake2s *blake2s, const void *a, size_t a_length, const void *b,
	size_t b_length, uint8_t out[BLAKE2S_SIZE])
{
	bool ok = EVP_DigestInit_ex2(blake2s->hash, blake2s->md, NULL) == 1 &&
		  EVP_DigestUpdate(blake2s->hash, a, a_length) == 1 &&
		  (b_length == 0 || EVP_DigestUpdate(blake2s->hash, b, b_length) == 1) &&
		  EVP_DigestFinal_ex(blake2s->hash, out, NULL) == 1;

	return ok ? 0 : -EIO;
}

int blake2s_mac(struct blake2s *blake2s, const void *key, size_t key_length, const void *input,
	size_t length, uint8_t out[BLAKE2S_MAC_SIZE])
{
	size_t written;
	bool ok = EVP_MAC_init(blake2s->mac, key, key_length, NULL) == 1 &&
		  EVP_MAC_update(blake2s->mac, input, length) == 1 &&
		  EVP_MAC_final(blake2s->mac, out, &written, BLAKE2S_MAC_SIZE) == 1 &&
		  written == BLAKE2S_MAC_SIZE;

	return ok ? 0 : -EIO;
}

int blake2s_hmac(struct blake2s *blake2s, const uint8_t key[BLAKE2S_SIZE], const void *input,
	size_t length, uint8_t out[BLAKE2S_SIZE])
{
	/* RFC 2104, section 2: the key, filled up with zeros to a block, XORed with each pad. */
	enum { INNER_PAD = 0x36, OUTER_PAD = 0x5c };
	uint8_t inner[BLAKE2S_BLOCK], outer[BLAKE2S_BLOCK], digest[BLAKE2S_SIZE];
	int error;

	memset(inner, INNER_PAD, sizeof inner);
	memset(outer, OUTER_PAD, sizeof outer);
	for (size_t i = 0; i < BLAKE2S_SIZE; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	error = blake2s_hash(blake2s, inner, sizeof inner, input, length, digest);
	if (!error)
		error = blake2s_hash(blake2s, outer, sizeof outer, digest, sizeof digest, out);
	explicit_bzero(inner, sizeof inner);
	explicit_bzero(outer, sizeof outer);
	explicit_bzero(digest, sizeof digest);
	return error;
}

int blake2s_kdf(struct blake2s *blake2s, const uint8_t key[BLAKE2S_SIZE], const void *input,
	size_t length, uint8_t *t1, uint8_t *t2, uint8_t *t3)
{
	uint8_t *const outputs[] = {t1, t2, t3};
	uint8_t secret[BLAKE2S_SIZE], chain[BLAKE2S_SIZE + 1];
	int error = blake2s_hmac(blake2s, key, input, length, secret);

	/* T(i) = HMAC(secret, T(i-1) || i), T(0) being empty. */
	for (uint8_t i = 0; i < 3 && outputs[i] && !error; i++) {
		size_t previous = i > 0 ? BLAKE2S_SIZE : 0;

		chain[previous] = (uint8_t)(i + 1);
		error = blake2s_hmac(blake2s, secret, chain, previous + 1, chain);
		memcpy(outputs[i], chain, BLAKE2S_SIZE);
	}
	explicit_bzero(secret, sizeof secret);
	explicit_bzero(chain, sizeof chain);
	return error;
}
