/* Verifies signatures with OpenSSL. Runs in the gate, on what a client sent. */
#include "gate/jwt_signature.h"

#include <errno.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "gate/jwt.h"

enum {
	HALF = ISSUER_COORDINATE_SIZE, /* of an ES256 signature: r, and as long s */
	POINT_SIZE = 1 + 2 * ISSUER_COORDINATE_SIZE, /* SEC 1, 2.3.3: not compressed */
	POINT_UNCOMPRESSED = 4,
};

static EVP_PKEY *make_key(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}

static EVP_PKEY *make_rsa(const struct issuer_key *key)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(key->bytes, (int)key->modulus_length, NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *made;

	if (builder && n && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_E, key->exponent) == 1)
		params = OSSL_PARAM_BLD_to_param(builder);
	made = make_key("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	return made;
}

/* The library makes no key of a point that is not on the curve. */
static EVP_PKEY *make_p256(const struct issuer_key *key)
{
	char group[] = "prime256v1";
	unsigned char point[POINT_SIZE] = {POINT_UNCOMPRESSED};
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group - 1),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
		OSSL_PARAM_END,
	};

	memcpy(point + 1, key->bytes, sizeof point - 1);
	return make_key("EC", params);
}

static bool verify(
	EVP_PKEY *key, const struct jwt *jwt, const unsigned char *signature, size_t length)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *of_key; /* the context's */
	bool is_right =
		context && EVP_DigestVerifyInit(context, &of_key, EVP_sha256(), NULL, key) == 1;

	if (is_right && EVP_PKEY_is_a(key, "RSA"))
		is_right = EVP_PKEY_CTX_set_rsa_padding(of_key, RSA_PKCS1_PADDING) == 1;
	is_right = is_right && EVP_DigestVerify(context, signature, length,
				       (const unsigned char *)jwt->text, jwt->signed_length) == 1;
	EVP_MD_CTX_free(context);
	return is_right;
}

/* RFC 7518, 3.4: the two numbers end to end, which the library wants in DER. */
static bool verify_es256(EVP_PKEY *key, const struct jwt *jwt)
{
	ECDSA_SIG *numbers = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(jwt->signature, HALF, NULL);
	BIGNUM *s = BN_bin2bn(jwt->signature + HALF, HALF, NULL);
	unsigned char *der = NULL;
	bool is_right = false;
	int n = 0;

	if (numbers && r && s && ECDSA_SIG_set0(numbers, r, s) == 1) {
		r = s = NULL; /* are in it */
		n = i2d_ECDSA_SIG(numbers, &der);
	}
	if (n > 0)
		is_right = verify(key, jwt, der, (size_t)n);
	OPENSSL_free(der);
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(numbers);
	return is_right;
}

static bool has_right_length(const struct jwt *jwt, const struct issuer_key *key)
{
	return jwt->signature_length ==
	       (key->kind == ISSUER_KEY_RSA ? key->modulus_length : 2 * HALF);
}

bool jwt_signature_is_right(const struct jwt *jwt, const struct issuer_key *key)
{
	EVP_PKEY *made;
	bool is_right = false;

	if (jwt->kind != key->kind || !has_right_length(jwt, key))
		return false;
	made = key->kind == ISSUER_KEY_RSA ? make_rsa(key) : make_p256(key);
	if (made)
		is_right = key->kind == ISSUER_KEY_RSA
				   ? verify(made, jwt, jwt->signature, jwt->signature_length)
				   : verify_es256(made, jwt);
	EVP_PKEY_free(made);
	ERR_clear_error();
	return is_right;
}

/* The base point of P-256 (FIPS 186-4, D.1.2.3) is a public key, whoever knows the private one. */
static const uint8_t base_point[] = {0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc,
	0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
	0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b,
	0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e,
	0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

int jwt_signature_warm_up(void)
{
	struct issuer_key key = {.kind = ISSUER_KEY_P256};
	struct jwt jwt = {.kind = ISSUER_KEY_P256, .text = "", .signature_length = 2 * HALF};
	EVP_PKEY *made;

	memcpy(key.bytes, base_point, sizeof base_point);
	memset(jwt.signature, 1, sizeof jwt.signature);
	made = make_p256(&key);
	EVP_PKEY_free(made);
	if (!made || jwt_signature_is_right(&jwt, &key))
		return -EIO;
	key = (struct issuer_key){
		.kind = ISSUER_KEY_RSA, .modulus_length = ISSUER_MODULUS_MIN, .exponent = 3};
	memset(key.bytes, 0xff, ISSUER_MODULUS_MIN);
	jwt.kind = ISSUER_KEY_RSA;
	jwt.signature_length = ISSUER_MODULUS_MIN;
	return jwt_signature_is_right(&jwt, &key) ? -EIO : 0;
}
