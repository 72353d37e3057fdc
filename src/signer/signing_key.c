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

EVP_PKEY *signing_key_read(int fd)
{
	char *pem = malloc(SIGNER_KEY_MAX);
	ssize_t length = pem ? pread(fd, pem, SIGNER_KEY_MAX, 0) : -1;
	BIO *bio = length > 0 ? BIO_new_mem_buf(pem, (int)length) : NULL;
	/* An empty passphrase instead of a prompt. */
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, "") : NULL;

	BIO_free(bio);
	if (pem)
		explicit_bzero(pem, SIGNER_KEY_MAX);
	free(pem);
	return key;
}

static const char *digest_name(uint16_t digest)
{
	switch (digest) {
	case SIGNING_SHA256:
		return "SHA256";
	case SIGNING_SHA384:
		return "SHA384";
	case SIGNING_SHA512:
		return "SHA512";
	default:
		return NULL;
	}
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

/* That RSA has a padding and nothing else has one, and likewise the digests. */
static bool fits(EVP_PKEY *key, const struct signing_request *request)
{
	bool is_rsa = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
	bool is_ec = EVP_PKEY_is_a(key, "EC");

	return is_rsa == (request->padding != SIGNING_NO_PADDING) &&
	       (is_rsa || is_ec) == (request->digest != SIGNING_NO_DIGEST);
}

/* Returns the signature's length, or 0. */
static size_t sign(EVP_PKEY *key, const struct signing_request *request, uint8_t *signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_context;
	size_t length = SIGNATURE_MAX;
	bool ok =
		context && EVP_PKEY_get_size(key) <= SIGNATURE_MAX &&
		EVP_DigestSignInit_ex(context, &key_context, digest_name(request->digest), NULL,
			NULL, key, NULL) == 1 &&
		set_padding(key_context, request->padding) &&
		EVP_DigestSign(context, signature, &length, request->content, request->length) == 1;

	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return ok ? length : 0;
}

void signing_key_answer(
	EVP_PKEY *key, const struct signing_request *request, struct signing_reply *reply)
{
	size_t length = 0;

	*reply = (struct signing_reply){.version = SIGNING_VERSION, .id = request->id};
	if (content_is_signed_by_servers(request->content, request->length) && fits(key, request))
		length = sign(key, request, reply->signature);
	reply->length = (uint16_t)length;
	reply->status = length > 0 ? SIGNING_OK : SIGNING_REFUSED;
}
