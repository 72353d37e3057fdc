/*
 * A provider of OpenSSL's, with keys that can do one thing: have the bytes that TLS wants signed
 * signed by another process. Runs in the gate's one thread, called by the library in the middle of
 * a handshake. It gets the message itself, not its digest (so the manual page EVP_DigestSign(3) has
 * it), which lets the signer see what it signs; the older EC_KEY_METHOD and RSA_METHOD would be
 * handed digests, and of RSA padded numbers.
 */
#include "gate/remote_key.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static const char provider_name[] = "vprox-remote";

/* Of our own: pointers to the public key and to the signer. */
static const char param_public[] = "vprox-public-key";
static const char param_signer[] = "vprox-signer";

struct remote_keys {
	OSSL_LIB_CTX *library;
	OSSL_PROVIDER *provider;
};

struct remote_key {
	EVP_PKEY *public_key; /* of the library's own making */
	const struct remote_signer *signer;
};

/* One signature. */
struct signing {
	const struct remote_key *key;
	enum signing_digest digest;
	enum signing_padding padding;
};

/* Keys. */

static void *key_new(void *context)
{
	(void)context;
	return calloc(1, sizeof(struct remote_key));
}

static void key_free(void *data)
{
	struct remote_key *key = data;

	EVP_PKEY_free(key->public_key);
	free(key);
}

static int key_has(const void *data, int selection)
{
	const struct remote_key *key = data;

	(void)selection;
	return key->public_key != NULL;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_ptr(param_public, NULL, 0),
		OSSL_PARAM_octet_ptr(param_signer, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)selection;
	return types;
}

static int key_import(void *data, int selection, const OSSL_PARAM *params)
{
	struct remote_key *key = data;
	const OSSL_PARAM *public = OSSL_PARAM_locate_const(params, param_public);
	const OSSL_PARAM *signer = OSSL_PARAM_locate_const(params, param_signer);
	const void *public_key, *pointer;
	size_t size;

	(void)selection;
	if (!public || !signer || !OSSL_PARAM_get_octet_ptr(public, &public_key, &size) ||
		!OSSL_PARAM_get_octet_ptr(signer, &pointer, &size) ||
		!EVP_PKEY_up_ref((EVP_PKEY *)public_key))
		return 0;
	key->public_key = (EVP_PKEY *)public_key;
	key->signer = pointer;
	return 1;
}

/* What else there is to know of a key is known of its public half. */
static int key_get_params(void *data, OSSL_PARAM params[])
{
	const struct remote_key *key = data;

	return EVP_PKEY_get_params(key->public_key, params);
}

/* The library asks for some without looking at this list, which it wants to be there. */
static const OSSL_PARAM *key_gettable_params(void *context)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)context;
	return types;
}

static const OSSL_PARAM *key_export_types(int selection)
{
	static const OSSL_PARAM none[] = {OSSL_PARAM_END};

	(void)selection;
	return none;
}

/* The public half, so that it can be compared with a certificate's; the other one is not here. */
static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *argument)
{
	const struct remote_key *key = data;
	OSSL_PARAM *params = NULL;
	int ok;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
		EVP_PKEY_todata(key->public_key, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	ok = callback(params, argument);
	OSSL_PARAM_free(params);
	return ok;
}

static const char *ecdsa_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *rsa_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *ed25519_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ED25519" : NULL;
}

static const char *ed448_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ED448" : NULL;
}

#define FUNCTION(id, function)                                                                     \
	{                                                                                          \
		id, (void (*)(void))(function)                                                     \
	}
#define KEY_FUNCTIONS(query_name)                                                                  \
	{                                                                                          \
		FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new),                                          \
			FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                                \
			FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                                  \
			FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                            \
			FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                \
			FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                            \
			FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),                \
			FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                    \
			FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),          \
			FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, query_name), {0, NULL},   \
	}

static const OSSL_DISPATCH ec_keys[] = KEY_FUNCTIONS(ecdsa_name);
static const OSSL_DISPATCH rsa_keys[] = KEY_FUNCTIONS(rsa_name);
static const OSSL_DISPATCH ed25519_keys[] = KEY_FUNCTIONS(ed25519_name);
static const OSSL_DISPATCH ed448_keys[] = KEY_FUNCTIONS(ed448_name);

/* Signatures. */

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

static const OSSL_DISPATCH signing_functions[] = {
	FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
	{0, NULL},
};

/* The provider. */

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keys[] = {
		{"EC:id-ecPublicKey", "", ec_keys, NULL},
		{"RSA:rsaEncryption", "", rsa_keys, NULL},
		{"RSA-PSS:RSASSA-PSS", "", rsa_keys, NULL},
		{"ED25519", "", ed25519_keys, NULL},
		{"ED448", "", ed448_keys, NULL},
		{NULL, NULL, NULL, NULL},
	};
	static const OSSL_ALGORITHM signatures[] = {
		{"ECDSA", "", signing_functions, NULL},
		{"RSA:rsaEncryption", "", signing_functions, NULL},
		{"ED25519", "", signing_functions, NULL},
		{"ED448", "", signing_functions, NULL},
		{NULL, NULL, NULL, NULL},
	};

	(void)context;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keys;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int init_provider(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
	const OSSL_DISPATCH **functions, void **context)
{
	static const OSSL_DISPATCH provided[] = {
		FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
		{0, NULL},
	};

	(void)core;
	*functions = provided;
	*context = (void *)handle;
	return 1;
}

struct remote_keys *remote_keys_new(void)
{
	struct remote_keys *keys = calloc(1, sizeof *keys);

	if (!keys)
		return NULL;
	keys->library = OSSL_LIB_CTX_new();
	if (keys->library &&
		OSSL_PROVIDER_add_builtin(keys->library, provider_name, init_provider) == 1)
		keys->provider = OSSL_PROVIDER_load(keys->library, provider_name);
	if (keys->provider)
		return keys;
	remote_keys_free(keys);
	return NULL;
}

void remote_keys_free(struct remote_keys *keys)
{
	if (!keys)
		return;
	if (keys->provider)
		OSSL_PROVIDER_unload(keys->provider);
	OSSL_LIB_CTX_free(keys->library);
	free(keys);
}

EVP_PKEY *remote_key_new(
	struct remote_keys *keys, X509 *certificate, const struct remote_signer *signer)
{
	void *public_key = X509_get0_pubkey(certificate), *pointer = (void *)signer;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_ptr(param_public, &public_key, 0),
		OSSL_PARAM_construct_octet_ptr(param_signer, &pointer, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *context = public_key ? EVP_PKEY_CTX_new_from_name(keys->library,
						     EVP_PKEY_get0_type_name(public_key), NULL)
					   : NULL;
	EVP_PKEY *key = NULL;

	if (context && EVP_PKEY_fromdata_init(context) == 1)
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(context);
	return key;
}
