/*
 * A provider of OpenSSL's, with keys that can do one thing: have the bytes that TLS wants signed
 * signed by another process (remote_signature.h). Runs in the gate's one thread, called by the
 * library: when the gate starts, and in the middle of a handshake.
 */
#include "gate/remote_key.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include "gate/remote_signature.h"

static const char provider_name[] = "vprox-remote";

/* Of our own: pointers to the public key and to the signer. */
static const char param_public[] = "vprox-public-key";
static const char param_signer[] = "vprox-signer";

struct remote_keys {
	OSSL_LIB_CTX *library;
	OSSL_PROVIDER *provider;
};

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

#define KEY_FUNCTIONS(query_name)                                                                  \
	{                                                                                          \
		PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new),                                 \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                       \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                         \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                   \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),       \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                   \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),       \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),           \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params), \
			PROVIDER_FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, query_name),     \
			{0, NULL},                                                                 \
	}

static const OSSL_DISPATCH ec_keys[] = KEY_FUNCTIONS(ecdsa_name);
static const OSSL_DISPATCH rsa_keys[] = KEY_FUNCTIONS(rsa_name);
static const OSSL_DISPATCH ed25519_keys[] = KEY_FUNCTIONS(ed25519_name);
static const OSSL_DISPATCH ed448_keys[] = KEY_FUNCTIONS(ed448_name);

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
		{"ECDSA", "", remote_signature_functions, NULL},
		{"RSA:rsaEncryption", "", remote_signature_functions, NULL},
		{"ED25519", "", remote_signature_functions, NULL},
		{"ED448", "", remote_signature_functions, NULL},
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
		PROVIDER_FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
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
