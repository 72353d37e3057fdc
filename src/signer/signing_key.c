/* Reads the private key, and signs with it. Runs in the signer. */
#include "signer/signing_key.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "signer/content.h"

struct signing_key {
	EVP_PKEY *pkey;
	bool is_rsa, is_ec; /* neither: one with a digest of its own */
	EVP_MD *digests[SIGNING_DIGEST_END];
	/* Made once for each way to sign, for the library looks up much to make one. NULL: not made
	 * yet. */
	EVP_PKEY_CTX *contexts[SIGNING_DIGEST_END][SIGNING_PADDING_END];
};

static bool fetch_digests(struct signing_key *key)
{
	key->digests[SIGNING_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
	key->digests[SIGNING_SHA384] = EVP_MD_fetch(NULL, "SHA384", NULL);
	key->digests[SIGNING_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
	return key->digests[SIGNING_SHA256] && key->digests[SIGNING_SHA384] &&
	       key->digests[SIGNING_SHA512];
}

struct signing_key *signing_key_new(EVP_PKEY *pkey)
{
	struct signing_key *key = calloc(1, sizeof *key);

	if (!key) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	key->pkey = pkey;
	key->is_rsa = EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_is_a(pkey, "RSA-PSS");
	key->is_ec = EVP_PKEY_is_a(pkey, "EC");
	if (fetch_digests(key) && EVP_PKEY_get_size(pkey) <= SIGNATURE_MAX)
		return key;
	signing_key_free(key);
	return NULL;
}

struct signing_key *signing_key_read(int fd)
{
	char *pem = malloc(SIGNER_KEY_MAX);
	ssize_t length = pem ? pread(fd, pem, SIGNER_KEY_MAX, 0) : -1;
	BIO *bio = length > 0 ? BIO_new_mem_buf(pem, (int)length) : NULL;
	/* An empty passphrase instead of a prompt. */
	EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "") : NULL;

	BIO_free(bio);
	if (pem)
		explicit_bzero(pem, SIGNER_KEY_MAX);
	free(pem);
	return pkey ? signing_key_new(pkey) : NULL;
}

void signing_key_free(struct signing_key *key)
{
	if (!key)
		return;
	for (size_t i = 0; i < SIGNING_DIGEST_END; i++) {
		for (size_t j = 0; j < SIGNING_PADDING_END; j++)
			EVP_PKEY_CTX_free(key->contexts[i][j]);
		EVP_MD_free(key->digests[i]);
	}
	EVP_PKEY_free(key->pkey);
	free(key);
}

void signing_key_suit(const struct signing_key *key, struct signing_request *request)
{
	request->digest = key->is_rsa || key->is_ec ? SIGNING_SHA256 : SIGNING_NO_DIGEST;
	request->padding = key->is_rsa ? SIGNING_PSS : SIGNING_NO_PADDING;
}

/* That RSA has a padding and nothing else has one, and likewise the digests. */
static bool fits(const struct signing_key *key, const struct signing_request *request)
{
	return key->is_rsa == (request->padding != SIGNING_NO_PADDING) &&
	       (key->is_rsa || key->is_ec) == (request->digest != SIGNING_NO_DIGEST);
}

static bool set_padding(EVP_PKEY_CTX *context, uint16_t padding)
{
	switch (padding) {
	case SIGNING_PKCS1:
		return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0;
	case SIGNING_PSS:
		return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
	default:
		return true;
	}
}

static EVP_PKEY_CTX *new_context(
	const struct signing_key *key, const struct signing_request *request)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

	if (context && EVP_PKEY_sign_init(context) == 1 && set_padding(context, request->padding) &&
		EVP_PKEY_CTX_set_signature_md(context, key->digests[request->digest]) > 0)
		return context;
	EVP_PKEY_CTX_free(context);
	return NULL;
}

/* Returns the signature's length, or 0. */
static size_t sign_digest(
	struct signing_key *key, const struct signing_request *request, uint8_t *signature)
{
	EVP_PKEY_CTX **context = &key->contexts[request->digest][request->padding];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int digest_length;
	size_t length = SIGNATURE_MAX;

	if (!*context)
		*context = new_context(key, request);
	if (!*context ||
		EVP_Digest(request->content, request->length, digest, &digest_length,
			key->digests[request->digest], NULL) != 1 ||
		EVP_PKEY_sign(*context, signature, &length, digest, digest_length) != 1)
		return 0;
	return length;
}

/* For a key that wants the whole message. */
static size_t sign_message(
	struct signing_key *key, const struct signing_request *request, uint8_t *signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t length = SIGNATURE_MAX;
	bool ok =
		context &&
		EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
		EVP_DigestSign(context, signature, &length, request->content, request->length) == 1;

	EVP_MD_CTX_free(context);
	return ok ? length : 0;
}

void signing_key_answer(
	struct signing_key *key, const struct signing_request *request, struct signing_reply *reply)
{
	size_t length = 0;

	*reply = (struct signing_reply){.version = SIGNING_VERSION, .id = request->id};
	if (content_is_signed_by_servers(request->content, request->length) && fits(key, request))
		length = request->digest == SIGNING_NO_DIGEST
				 ? sign_message(key, request, reply->signature)
				 : sign_digest(key, request, reply->signature);
	ERR_clear_error();
	reply->length = (uint16_t)length;
	reply->status = length > 0 ? SIGNING_OK : SIGNING_REFUSED;
}
