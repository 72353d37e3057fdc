/*
 * Signatures of OpenSSL's, each made by another process. Runs in the gate's one thread, called by
 * the library in the middle of a handshake. It gets the message itself, not its digest (so the
 * manual page EVP_DigestSign(3) has it), which lets the signer see what it signs; the older
 * EC_KEY_METHOD and RSA_METHOD would be handed digests, and of RSA padded numbers.
 */
#include "gate/remote_signature.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

/* One signature. */
struct signing {
	const struct remote_key *key;
	enum signing_digest digest;
	enum signing_padding padding;
};

static void *signing_new(void *context, const char *properties)
{
	(void)context;
	(void)properties;
	return calloc(1, sizeof(struct signing));
}

static void signing_free(void *data)
{
	free(data);
}

static bool set_digest(struct signing *signing, const char *name)
{
	static const struct {
		const char *name;
		enum signing_digest digest;
	} digests[] = {
		{"SHA256", SIGNING_SHA256},
		{"SHA2-256", SIGNING_SHA256},
		{"SHA384", SIGNING_SHA384},
		{"SHA2-384", SIGNING_SHA384},
		{"SHA512", SIGNING_SHA512},
		{"SHA2-512", SIGNING_SHA512},
	};

	signing->digest = SIGNING_NO_DIGEST;
	if (!name || *name == '\0')
		return true;
	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
		if (strcasecmp(name, digests[i].name) == 0) {
			signing->digest = digests[i].digest;
			return true;
		}
	return false;
}

static bool set_padding(struct signing *signing, const OSSL_PARAM *param)
{
	int padding;

	if (!OSSL_PARAM_get_int(param, &padding))
		return false;
	if (padding == RSA_PKCS1_PADDING)
		signing->padding = SIGNING_PKCS1;
	else if (padding == RSA_PKCS1_PSS_PADDING)
		signing->padding = SIGNING_PSS;
	else
		return false;
	return true;
}

/* The length of the salt is that of the digest, which is all that TLS asks for. */
static int signing_set_params(void *data, const OSSL_PARAM params[])
{
	const OSSL_PARAM *padding =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;

	return !padding || set_padding(data, padding);
}

static const OSSL_PARAM *signing_settable_params(void *data, void *context)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL),
		OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL),
		OSSL_PARAM_END,
	};

	(void)data;
	(void)context;
	return types;
}

static int signing_init(void *data, const char *digest, void *key_data, const OSSL_PARAM params[])
{
	struct signing *signing = data;
	const struct remote_key *key = key_data;

	signing->key = key;
	signing->padding = SIGNING_NO_PADDING;
	if (EVP_PKEY_is_a(key->public_key, "RSA"))
		signing->padding = SIGNING_PKCS1;
	else if (EVP_PKEY_is_a(key->public_key, "RSA-PSS"))
		signing->padding = SIGNING_PSS;
	return set_digest(signing, digest) && signing_set_params(signing, params);
}

/* All at once. Without room for a signature, tells how much it would take. */
static int signing_sign(void *data, unsigned char *signature, size_t *length, size_t size,
	const unsigned char *content, size_t content_length)
{
	const struct signing *signing = data;
	struct signing_request request = {
		.version = SIGNING_VERSION,
		.digest = (uint16_t)signing->digest,
		.padding = (uint16_t)signing->padding,
		.length = (uint32_t)content_length,
	};
	uint8_t made[SIGNATURE_MAX];

	if (!signature) {
		*length = (size_t)EVP_PKEY_get_size(signing->key->public_key);
		return 1;
	}
	if (content_length > SIGNING_CONTENT_MAX)
		return 0;
	memcpy(request.content, content, content_length);
	if (signing->key->signer->sign(signing->key->signer->context, &request, made, length) < 0 ||
		*length > size)
		return 0;
	memcpy(signature, made, *length);
	return 1;
}

const OSSL_DISPATCH remote_signature_functions[] = {
	PROVIDER_FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	PROVIDER_FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	PROVIDER_FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
	PROVIDER_FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	PROVIDER_FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	PROVIDER_FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
	{0, NULL},
};
