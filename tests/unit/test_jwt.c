#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/base64url.h"
#include "gate/issuers.h"
#include "gate/jwt.h"
#include "gate/jwt_claims.h"
#include "gate/jwt_signature.h"
#include "ipc/issuer_sheet.h"

enum {
	NOW = 1700000000, /* s since 1970 */
	TOKEN_SIZE = 16 * 1024,
};

#define URL "https://issuer.example"
#define RS256 "{\"alg\":\"RS256\",\"kid\":\"one\"}"
#define ES256 "{\"alg\":\"ES256\",\"kid\":\"two\"}"
#define CLAIMS "\"iss\":\"" URL "\",\"aud\":\"vprox\",\"sub\":\"repo:octo/cat\","
#define TIMES "\"iat\":1699999990,\"nbf\":1699999990,\"exp\":1700000300"
#define GOOD "{" CLAIMS TIMES "}"

/* Keys that are slow to make, and what an issuer tells of them. */
struct fixture {
	EVP_PKEY *rsa, *ec;
	struct issuer_key keys[2];
	struct issuer issuer;
	struct issuer_sheet *sheet;
	uint64_t now_ms;
	unsigned int n_asked;
};

static struct fixture fixture;

static void encode(const void *data, size_t length, char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *bytes = data;
	unsigned int bits = 0, n_bits = 0;

	text += strlen(text);
	for (size_t i = 0; i < length; i++) {
		bits = bits << 8 | bytes[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			*text++ = digits[bits >> (n_bits - 6) & 63];
	}
	if (n_bits > 0)
		*text++ = digits[bits << (6 - n_bits) & 63];
	*text = '\0';
}

static size_t sign_with(EVP_PKEY *key, const char *text, unsigned char *signature, size_t size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(context, signature, &size, (const unsigned char *)text,
				 strlen(text)),
		1);
	EVP_MD_CTX_free(context);
	return size;
}

/* DER to r and s. */
static size_t flatten(unsigned char *signature, size_t length)
{
	const unsigned char *der = signature;
	ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, (long)length);
	unsigned char flat[64];

	assert_non_null(numbers);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), flat, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), flat + 32, 32), 32);
	ECDSA_SIG_free(numbers);
	memcpy(signature, flat, sizeof flat);
	return sizeof flat;
}

/* A token of these parts, signed by the key; in a buffer that the next call uses again. */
static char *token(const char *header, const char *claims, EVP_PKEY *key)
{
	static char text[TOKEN_SIZE];
	unsigned char signature[1024];
	size_t length;

	text[0] = '\0';
	encode(header, strlen(header), text);
	strcat(text, ".");
	encode(claims, strlen(claims), text);
	length = sign_with(key, text, signature, sizeof signature);
	if (EVP_PKEY_is_a(key, "EC"))
		length = flatten(signature, length);
	strcat(text, ".");
	encode(signature, length, text);
	return text;
}

static void describe_rsa(EVP_PKEY *key, const char *kid, struct issuer_key *described)
{
	BIGNUM *n = NULL;

	*described = (struct issuer_key){.kind = ISSUER_KEY_RSA, .exponent = 65537};
	strcpy(described->kid, kid);
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
	described->modulus_length = (uint32_t)BN_bn2bin(n, described->bytes);
	BN_free(n);
}

static void describe_ec(EVP_PKEY *key, const char *kid, struct issuer_key *described)
{
	unsigned char point[65];
	size_t n;

	*described = (struct issuer_key){.kind = ISSUER_KEY_P256};
	strcpy(described->kid, kid);
	assert_int_equal(EVP_PKEY_get_octet_string_param(
				 key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n),
		1);
	assert_int_equal(n, sizeof point);
	memcpy(described->bytes, point + 1, 64);
}

static uint64_t now_ms(const struct clock *clock)
{
	(void)clock;
	return fixture.now_ms;
}

static void on_ask(void *context, unsigned int issuer)
{
	assert_int_equal(issuer, 0);
	((struct fixture *)context)->n_asked++;
}

static const struct clock test_clock = {now_ms};

static int set_up(void **state)
{
	(void)state;
	fixture.rsa = EVP_RSA_gen(2048);
	fixture.ec = EVP_EC_gen("P-256");
	assert_non_null(fixture.rsa);
	assert_non_null(fixture.ec);
	describe_rsa(fixture.rsa, "one", &fixture.keys[0]);
	describe_ec(fixture.ec, "two", &fixture.keys[1]);
	strcpy(fixture.issuer.url, URL);
	strcpy(fixture.issuer.audience, "vprox");
	strcpy(fixture.issuer.name_claim, "sub");
	assert_true(issuer_is_valid(&fixture.issuer));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(fixture.rsa);
	EVP_PKEY_free(fixture.ec);
	return 0;
}

/* In place of the one before. */
static void make_sheet(const struct issuer *issuer)
{
	issuer_sheet_free(fixture.sheet);
	fixture.sheet = issuer_sheet_new(issuer, 1);
	assert_non_null(fixture.sheet);
	issuer_sheet_write(fixture.sheet, 0, fixture.keys, 2, fixture.now_ms);
}

static int begin(void **state)
{
	(void)state;
	fixture.now_ms = 1000000;
	fixture.n_asked = 0;
	make_sheet(&fixture.issuer);
	return 0;
}

static int end(void **state)
{
	(void)state;
	issuer_sheet_free(fixture.sheet);
	fixture.sheet = NULL;
	return 0;
}

static struct issuers issuers_now(void)
{
	return (struct issuers){
		.sheet = fixture.sheet, .clock = &test_clock, .ask = on_ask, .context = &fixture};
}

static enum issuers_verdict check_for(const char *bearer, struct client_name *name)
{
	struct issuers issuers = issuers_now();

	return issuers_check(&issuers, bearer, NOW, name);
}

static enum issuers_verdict check(const char *bearer)
{
	struct client_name name;

	return check_for(bearer, &name);
}

static enum issuers_verdict check_by(const struct issuer *issuer, const char *bearer)
{
	make_sheet(issuer);
	return check(bearer);
}

#define assert_accepted(bearer) assert_int_equal(check(bearer), ISSUERS_ACCEPT)
#define assert_refused(bearer) assert_int_equal(check(bearer), ISSUERS_REFUSE)

static void assert_claims_refused(const char *claims)
{
	if (check(token(RS256, claims, fixture.rsa)) != ISSUERS_REFUSE)
		fail_msg("accepted: %s", claims);
}

/* RFC 7515, A.2 and A.3 */
#define VECTOR_CLAIMS                                                                              \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVlfQ"
#define VECTOR_RS256 "eyJhbGciOiJSUzI1NiJ9." VECTOR_CLAIMS
#define VECTOR_ES256 "eyJhbGciOiJFUzI1NiJ9." VECTOR_CLAIMS

static const char vector_modulus[] =
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B"
	"m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5"
	"z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7"
	"aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
static const char vector_rs256[] =
	"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2F"
	"p5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQB"
	"MHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeY"
	"I2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
static const char vector_point[2][44] = {"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
	"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"};
static const char vector_es256[] =
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static void vector(
	const char *text, enum issuer_key_kind kind, const char *signature, struct jwt *jwt)
{
	*jwt = (struct jwt){.text = text, .signed_length = strlen(text), .kind = kind};
	jwt->signature_length = (size_t)base64url_decode(
		signature, strlen(signature), jwt->signature, sizeof jwt->signature);
}

static void the_examples_of_the_standard_are_right_and_wrong_when_a_bit_is(void **state)
{
	struct issuer_key rsa = {.kind = ISSUER_KEY_RSA, .exponent = 65537, .kid = "a"};
	struct issuer_key ec = {.kind = ISSUER_KEY_P256, .kid = "a"};
	struct jwt jwt;

	(void)state;
	rsa.modulus_length = (uint32_t)base64url_decode(
		vector_modulus, strlen(vector_modulus), rsa.bytes, sizeof rsa.bytes);
	for (int i = 0; i < 2; i++)
		assert_int_equal(base64url_decode(vector_point[i], 43, ec.bytes + 32 * i, 32), 32);
	assert_true(issuer_key_is_valid(&rsa));
	assert_true(issuer_key_is_valid(&ec));
	vector(VECTOR_RS256, ISSUER_KEY_RSA, vector_rs256, &jwt);
	assert_true(jwt_signature_is_right(&jwt, &rsa));
	assert_false(jwt_signature_is_right(&jwt, &ec));
	jwt.signature[100] ^= 1;
	assert_false(jwt_signature_is_right(&jwt, &rsa));
	vector(VECTOR_ES256, ISSUER_KEY_P256, vector_es256, &jwt);
	assert_true(jwt_signature_is_right(&jwt, &ec));
	assert_false(jwt_signature_is_right(&jwt, &rsa));
	jwt.signed_length--;
	assert_false(jwt_signature_is_right(&jwt, &ec));
}

static void a_token_of_either_algorithm_is_good(void **state)
{
	(void)state;
	assert_int_equal(jwt_signature_warm_up(), 0);
	assert_accepted(token(RS256, GOOD, fixture.rsa));
	assert_accepted(token(ES256, GOOD, fixture.ec));
	assert_accepted(
		token("{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"one\"}", GOOD, fixture.rsa));
}

static void its_name_is_that_of_the_claim_that_is_asked_for(void **state)
{
	struct issuer other = fixture.issuer;
	const char *actor = "{" CLAIMS "\"actor\":\"mona\"," TIMES "}";
	struct client_name name;

	(void)state;
	assert_int_equal(check_for(token(RS256, GOOD, fixture.rsa), &name), ISSUERS_ACCEPT);
	assert_string_equal(name.s, "oidc:repo:octo/cat");
	strcpy(other.name_claim, "actor");
	make_sheet(&other);
	assert_int_equal(check_for(token(RS256, actor, fixture.rsa), &name), ISSUERS_ACCEPT);
	assert_string_equal(name.s, "oidc:mona");
	assert_int_equal(check_for(token(RS256, GOOD, fixture.rsa), &name), ISSUERS_REFUSE);
	strcpy(other.label, "github");
	make_sheet(&other);
	assert_int_equal(check_for(token(RS256, actor, fixture.rsa), &name), ISSUERS_ACCEPT);
	assert_string_equal(name.s, "oidc:github:mona");
	memset(other.label, 0, sizeof other.label);
	make_sheet(&other);
	other.is_name_optional = 1;
	make_sheet(&other);
	assert_int_equal(check_for(token(RS256, GOOD, fixture.rsa), &name), ISSUERS_ACCEPT);
	assert_string_equal(name.s, "");
}

static void a_signature_of_another_key_or_of_another_text_is_refused(void **state)
{
	EVP_PKEY *other = EVP_RSA_gen(2048), *other_ec = EVP_EC_gen("P-256");
	char *text;

	(void)state;
	assert_refused(token(RS256, GOOD, other));
	assert_refused(token(ES256, GOOD, other_ec));
	/* the other kind of key by this name */
	assert_int_equal(check(token("{\"alg\":\"RS256\",\"kid\":\"two\"}", GOOD, fixture.rsa)),
		ISSUERS_REFUSE);
	text = token(RS256, GOOD, fixture.rsa);
	memcpy(strchr(text, '.') + 1, "eyJ", 3);
	text[strlen(text) / 2] ^= 1;
	assert_refused(text);
	EVP_PKEY_free(other);
	EVP_PKEY_free(other_ec);
}

/* What is known of attacks on such tokens: RFC 8725, 2. */
static void an_algorithm_that_proves_nothing_is_refused(void **state)
{
	static const char *const headers[] = {"{\"alg\":\"none\",\"kid\":\"one\"}",
		"{\"alg\":\"None\",\"kid\":\"one\"}", "{\"alg\":\"\",\"kid\":\"one\"}",
		"{\"kid\":\"one\"}", "{\"alg\":\"HS256\",\"kid\":\"one\"}",
		"{\"alg\":\"RS384\",\"kid\":\"one\"}", "{\"alg\":\"PS256\",\"kid\":\"one\"}",
		"{\"alg\":\"rs256\",\"kid\":\"one\"}", "{\"alg\":256,\"kid\":\"one\"}",
		"{\"alg\":[\"RS256\"],\"kid\":\"one\"}", "{\"alg\":\"RS256\"}",
		"{\"alg\":\"RS256\",\"kid\":1}",
		"{\"alg\":\"RS256\",\"kid\":\"one\",\"crit\":[\"exp\"]}",
		"{\"alg\":\"none\",\"alg\":\"RS256\",\"kid\":\"one\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		if (check(token(headers[i], GOOD, fixture.rsa)) != ISSUERS_REFUSE)
			fail_msg("accepted: %s", headers[i]);
}

static void a_token_without_a_signature_is_refused(void **state)
{
	char text[TOKEN_SIZE];
	char *end;

	(void)state;
	strcpy(text, token("{\"alg\":\"none\",\"kid\":\"one\"}", GOOD, fixture.rsa));
	end = strrchr(text, '.');
	end[1] = '\0';
	assert_refused(text);
	strcpy(text, token(RS256, GOOD, fixture.rsa));
	end = strrchr(text, '.');
	end[1] = '\0';
	assert_refused(text);
	end[0] = '\0';
	assert_refused(text);
}

/* The secret of HS256 would be what everybody knows. */
static void the_public_key_is_no_secret_to_sign_with(void **state)
{
	char text[TOKEN_SIZE] = "", *pem;
	const char *header = "{\"alg\":\"HS256\",\"kid\":\"one\"}";
	unsigned char mac[32];
	BIO *out = BIO_new(BIO_s_mem());
	long n;

	(void)state;
	assert_int_equal(PEM_write_bio_PUBKEY(out, fixture.rsa), 1);
	n = BIO_get_mem_data(out, &pem);
	encode(header, strlen(header), text);
	strcat(text, ".");
	encode(GOOD, strlen(GOOD), text);
	HMAC(EVP_sha256(), pem, (int)n, (unsigned char *)text, strlen(text), mac, NULL);
	strcat(text, ".");
	encode(mac, sizeof mac, text);
	assert_refused(text);
	BIO_free(out);
}

static void a_name_of_a_key_is_a_name_and_no_path(void **state)
{
	static const char *const names[] = {"../one", "/etc/passwd", "one\\u0000", "one ", "ONE",
		"one' or '1'='1", "https://evil.example/keys", "", "o", "onetwo"};
	char header[256];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(header, sizeof header, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", names[i]);
		assert_refused(token(header, GOOD, fixture.rsa));
	}
	assert_refused(token("{\"alg\":\"RS256\",\"kid\":\"x\",\"jku\":\"https://evil.example/\"}",
		GOOD, fixture.rsa));
	assert_int_equal(fixture.n_asked, 0);
}

static void what_is_no_token_is_refused(void **state)
{
	static const char *const bearers[] = {"", ".", "..", "...", "a.b.c", "e30.e30.e30",
		"e30.e30.", "eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9", "secret",
		"eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9.e30.AAAA",
		"eyJhbGciOiJSUzI1NiIsImtpZCI6Im9uZSJ9..AAAA"};
	char text[TOKEN_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof bearers / sizeof *bearers; i++)
		assert_refused(bearers[i]);
	/* padding, blanks, a further part, and the alphabet that is not for URLs */
	snprintf(text, sizeof text, "%s=", token(RS256, GOOD, fixture.rsa));
	assert_refused(text);
	snprintf(text, sizeof text, "%s ", token(RS256, GOOD, fixture.rsa));
	assert_refused(text);
	snprintf(text, sizeof text, " %s", token(RS256, GOOD, fixture.rsa));
	assert_refused(text);
	snprintf(text, sizeof text, "%s.AAAA", token(RS256, GOOD, fixture.rsa));
	assert_refused(text);
}

static void text_that_means_the_same_bytes_in_another_way_is_refused(void **state)
{
	unsigned char bytes[8];

	(void)state;
	assert_int_equal(base64url_decode("AQID", 4, bytes, sizeof bytes), 3);
	assert_int_equal(base64url_decode("AQ", 2, bytes, sizeof bytes), 1);
	assert_int_equal(base64url_decode("AR", 2, bytes, sizeof bytes), -EBADMSG);
	assert_int_equal(base64url_decode("A", 1, bytes, sizeof bytes), -EBADMSG);
	assert_int_equal(base64url_decode("AQ==", 4, bytes, sizeof bytes), -EBADMSG);
	assert_int_equal(base64url_decode("AQ+/", 4, bytes, sizeof bytes), -EBADMSG);
	assert_int_equal(base64url_decode("AQ\n", 3, bytes, sizeof bytes), -EBADMSG);
	assert_int_equal(base64url_decode("", 0, bytes, sizeof bytes), 0);
	assert_int_equal(base64url_decode("AAAAAAAAAAAA", 12, bytes, sizeof bytes), -ENOSPC);
}

static void a_claim_that_is_there_twice_makes_it_no_token(void **state)
{
	(void)state;
	assert_claims_refused("{" CLAIMS TIMES ",\"sub\":\"root\"}");
	assert_claims_refused("{\"exp\":1," CLAIMS TIMES "}");
	assert_accepted(token(RS256, "{" CLAIMS TIMES ",\"x\":{\"sub\":\"root\"}}", fixture.rsa));
}

static void a_token_that_is_too_long_or_too_deep_is_refused(void **state)
{
	char *claims = calloc(1, TOKEN_SIZE), *long_one = malloc(64 * 1024 + 1);

	(void)state;
	memset(long_one, 'A', 64 * 1024);
	long_one[64 * 1024] = '\0';
	assert_refused(long_one);
	long_one[100] = long_one[200] = '.';
	assert_refused(long_one);
	snprintf(claims, TOKEN_SIZE, "{" CLAIMS TIMES ",\"x\":\"%05000d\"}", 0);
	assert_accepted(token(RS256, claims, fixture.rsa));
	snprintf(claims, TOKEN_SIZE, "{" CLAIMS TIMES ",\"x\":\"%06500d\"}", 0);
	assert_claims_refused(claims);
	snprintf(claims, TOKEN_SIZE, "{" CLAIMS TIMES ",\"x\":");
	memset(claims + strlen(claims), '[', 1000);
	memset(claims + strlen(claims), ']', 1000);
	strcat(claims, "}");
	assert_claims_refused(claims);
	free(long_one);
	free(claims);
}

static void a_token_is_good_for_its_time_alone(void **state)
{
	(void)state;
	assert_claims_refused("{" CLAIMS "\"iat\":1699999990}"); /* no end */
	assert_claims_refused("{" CLAIMS "\"exp\":1700000000}");
	assert_claims_refused("{" CLAIMS "\"exp\":1699999999.5}");
	assert_claims_refused("{" CLAIMS "\"exp\":-1}");
	assert_claims_refused("{" CLAIMS "\"exp\":1e300}");
	assert_claims_refused("{" CLAIMS "\"exp\":\"1700000300\"}");
	assert_claims_refused("{" CLAIMS "\"exp\":1700000300,\"iat\":1700000061}");
	assert_claims_refused("{" CLAIMS "\"exp\":1700000300,\"nbf\":1700000061}");
	assert_claims_refused("{" CLAIMS "\"exp\":1700000300,\"iat\":\"now\"}");
	assert_accepted(token(RS256, "{" CLAIMS "\"exp\":1700000000.5}", fixture.rsa));
	assert_accepted(
		token(RS256, "{" CLAIMS "\"exp\":1700000300,\"iat\":1700000060,\"nbf\":1700000060}",
			fixture.rsa));
}

static void issuer_and_audience_must_be_the_right_ones(void **state)
{
	struct issuer any = fixture.issuer;

	(void)state;
	any.audience[0] = '\0';
	assert_claims_refused("{\"aud\":\"vprox\",\"sub\":\"a\"," TIMES "}");
	assert_claims_refused("{\"iss\":\"" URL "/\",\"aud\":\"vprox\",\"sub\":\"a\"," TIMES "}");
	assert_claims_refused("{\"iss\":[\"" URL "\"],\"aud\":\"vprox\",\"sub\":\"a\"," TIMES "}");
	assert_claims_refused("{\"iss\":\"" URL "\",\"sub\":\"a\"," TIMES "}");
	assert_claims_refused("{\"iss\":\"" URL "\",\"aud\":\"vpro\",\"sub\":\"a\"," TIMES "}");
	assert_claims_refused("{\"iss\":\"" URL "\",\"aud\":[],\"sub\":\"a\"," TIMES "}");
	assert_claims_refused(
		"{\"iss\":\"" URL "\",\"aud\":[\"x\",[\"vprox\"]],\"sub\":\"a\"," TIMES "}");
	assert_accepted(token(RS256,
		"{\"iss\":\"" URL "\",\"aud\":[\"x\",\"vprox\"],\"sub\":\"a\"," TIMES "}",
		fixture.rsa));
	assert_int_equal(
		check_by(&any,
			token(RS256, "{\"iss\":\"" URL "\",\"sub\":\"a\"," TIMES "}", fixture.rsa)),
		ISSUERS_ACCEPT);
}

static void of_each_claim_that_is_required_one_of_its_globs_must_match(void **state)
{
	struct issuer issuer = fixture.issuer;
	static const struct {
		const char *claims;
		enum issuers_verdict verdict;
	} tried[] = {
		{"\"repository\":\"octo/cat\",\"ref\":\"refs/heads/main\"", ISSUERS_ACCEPT},
		{"\"repository\":\"octo/cat\",\"ref\":\"refs/tags/v1\"", ISSUERS_ACCEPT},
		{"\"repository\":\"octo/cat\",\"ref\":\"refs/heads/other\"", ISSUERS_REFUSE},
		{"\"repository\":\"octopus/cat\",\"ref\":\"refs/heads/main\"", ISSUERS_REFUSE},
		{"\"repository\":\"octo/cat\"", ISSUERS_REFUSE},
		{"\"repository\":[\"octo/cat\"],\"ref\":\"refs/heads/main\"", ISSUERS_REFUSE},
		{"\"repository\":null,\"ref\":\"refs/heads/main\"", ISSUERS_REFUSE},
	};
	char claims[1024];

	(void)state;
	assert_int_equal(issuer_add_rule(&issuer, "repository:octo/*"), 0);
	assert_int_equal(issuer_add_rule(&issuer, "ref:refs/heads/main"), 0);
	assert_int_equal(issuer_add_rule(&issuer, "ref:refs/tags/*"), 0);
	assert_true(issuer_is_valid(&issuer));
	for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
		snprintf(claims, sizeof claims, "{" CLAIMS "%s," TIMES "}", tried[i].claims);
		if (check_by(&issuer, token(RS256, claims, fixture.rsa)) != tried[i].verdict)
			fail_msg("wrong: %s", tried[i].claims);
	}
}

static void numbers_and_truths_can_be_required_too(void **state)
{
	struct issuer issuer = fixture.issuer;

	(void)state;
	issuer_add_rule(&issuer, "email_verified:true");
	issuer_add_rule(&issuer, "project:42");
	assert_int_equal(
		check_by(&issuer,
			token(RS256, "{" CLAIMS "\"email_verified\":true,\"project\":42," TIMES "}",
				fixture.rsa)),
		ISSUERS_ACCEPT);
	assert_int_equal(
		check_by(&issuer,
			token(RS256,
				"{" CLAIMS "\"email_verified\":false,\"project\":42," TIMES "}",
				fixture.rsa)),
		ISSUERS_REFUSE);
}

static void rules_are_checked_and_do_not_run_over(void **state)
{
	struct issuer issuer = fixture.issuer;
	unsigned int n = 0;
	int error;

	(void)state;
	assert_int_equal(issuer_add_rule(&issuer, "no colon"), -EINVAL);
	assert_int_equal(issuer_add_rule(&issuer, ":glob"), -EINVAL);
	assert_int_equal(issuer_add_rule(&issuer, "claim:"), -EINVAL);
	while ((error = issuer_add_rule(&issuer, "workspace_id:ac-0123456789")) == 0)
		n++;
	assert_int_equal(error, -ENOSPC);
	assert_true(n > 100);
	assert_true(issuer_is_valid(&issuer));
	issuer.rules[sizeof issuer.rules - 1] = 'x';
	assert_false(issuer_is_valid(&issuer));
}

static void for_a_key_that_is_not_known_the_issuer_is_asked_but_seldom(void **state)
{
	struct issuers issuers = issuers_now();
	const char *header = "{\"alg\":\"RS256\",\"kid\":\"new\"}";
	struct issuer_key key = fixture.keys[0];
	struct client_name name;

	(void)state;
	strcpy(key.kid, "new");
	assert_int_equal(issuers_check(&issuers, token(header, GOOD, fixture.rsa), NOW, &name),
		ISSUERS_REFUSE);
	fixture.now_ms += ISSUER_ASK_MS;
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			issuers_check(&issuers, token(header, GOOD, fixture.rsa), NOW, &name),
			ISSUERS_WAIT);
	assert_int_equal(fixture.n_asked, 1);
	issuer_sheet_record_failure(fixture.sheet, 0, fixture.now_ms);
	assert_int_equal(issuers_check(&issuers, token(header, GOOD, fixture.rsa), NOW, &name),
		ISSUERS_REFUSE);
	issuer_sheet_write(fixture.sheet, 0, &key, 1, fixture.now_ms);
	assert_int_equal(issuers_check(&issuers, token(header, GOOD, fixture.rsa), NOW, &name),
		ISSUERS_ACCEPT);
	/* that of before is withdrawn */
	assert_int_equal(issuers_check(&issuers, token(RS256, GOOD, fixture.rsa), NOW, &name),
		ISSUERS_REFUSE);
}

static void keys_are_good_for_a_day_while_their_issuer_is_away(void **state)
{
	struct issuers issuers = issuers_now();
	struct client_name name;

	(void)state;
	fixture.now_ms += ISSUER_KEYS_GOOD_MS;
	issuer_sheet_record_failure(fixture.sheet, 0, fixture.now_ms);
	assert_int_equal(issuers_check(&issuers, token(RS256, GOOD, fixture.rsa), NOW, &name),
		ISSUERS_ACCEPT);
	fixture.now_ms++;
	assert_int_equal(issuers_check(&issuers, token(RS256, GOOD, fixture.rsa), NOW, &name),
		ISSUERS_REFUSE);
}

static void a_gate_can_read_the_keys_and_not_write_them(void **state)
{
	struct issuer_sheet *mapped = issuer_sheet_map(issuer_sheet_fd(fixture.sheet));
	struct issuer_key key;

	(void)state;
	assert_non_null(mapped);
	assert_int_equal(
		issuer_sheet_find(mapped, 0, "one", ISSUER_KEY_RSA, fixture.now_ms, &key), 0);
	assert_memory_equal(&key, &fixture.keys[0], sizeof key);
	assert_int_equal(
		issuer_sheet_find(mapped, 1, "one", ISSUER_KEY_RSA, fixture.now_ms, &key), -ENOENT);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				 issuer_sheet_fd(fixture.sheet), 0),
		MAP_FAILED);
	issuer_sheet_free(mapped);
}

static void keys_of_other_sizes_are_none(void **state)
{
	struct issuer_key key = fixture.keys[0];

	(void)state;
	assert_true(issuer_key_is_valid(&key));
	key.modulus_length = 64; /* 512 bits */
	memset(key.bytes + 64, 0, sizeof key.bytes - 64);
	key.bytes[63] |= 1;
	assert_false(issuer_key_is_valid(&key));
	key = fixture.keys[0];
	key.exponent = 1;
	assert_false(issuer_key_is_valid(&key));
	key = fixture.keys[0];
	key.bytes[0] = 1;
	assert_false(issuer_key_is_valid(&key));
	key = fixture.keys[0];
	key.modulus_length = ISSUER_MODULUS_MAX + 1;
	assert_false(issuer_key_is_valid(&key));
	key = fixture.keys[1];
	memset(key.bytes, 0, sizeof key.bytes);
	assert_false(issuer_key_is_valid(&key));
	key = fixture.keys[1];
	memset(key.kid, 'a', sizeof key.kid);
	assert_false(issuer_key_is_valid(&key));
}

/* x and y of no point: y is another. */
static void a_point_that_is_not_on_the_curve_verifies_nothing(void **state)
{
	struct issuer_key key = fixture.keys[1];
	struct jwt jwt;

	(void)state;
	assert_int_equal(jwt_parse(token(ES256, GOOD, fixture.ec), &jwt), 0);
	assert_true(jwt_signature_is_right(&jwt, &key));
	key.bytes[40] ^= 1;
	assert_false(jwt_signature_is_right(&jwt, &key));
	jwt_free(&jwt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard_are_right_and_wrong_when_a_bit_is),
		cmocka_unit_test_setup_teardown(a_token_of_either_algorithm_is_good, begin, end),
		cmocka_unit_test_setup_teardown(
			its_name_is_that_of_the_claim_that_is_asked_for, begin, end),
		cmocka_unit_test_setup_teardown(
			a_signature_of_another_key_or_of_another_text_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(
			an_algorithm_that_proves_nothing_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_token_without_a_signature_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(
			the_public_key_is_no_secret_to_sign_with, begin, end),
		cmocka_unit_test_setup_teardown(a_name_of_a_key_is_a_name_and_no_path, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_token_is_refused, begin, end),
		cmocka_unit_test(text_that_means_the_same_bytes_in_another_way_is_refused),
		cmocka_unit_test_setup_teardown(
			a_claim_that_is_there_twice_makes_it_no_token, begin, end),
		cmocka_unit_test_setup_teardown(
			a_token_that_is_too_long_or_too_deep_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_token_is_good_for_its_time_alone, begin, end),
		cmocka_unit_test_setup_teardown(
			issuer_and_audience_must_be_the_right_ones, begin, end),
		cmocka_unit_test_setup_teardown(
			of_each_claim_that_is_required_one_of_its_globs_must_match, begin, end),
		cmocka_unit_test_setup_teardown(numbers_and_truths_can_be_required_too, begin, end),
		cmocka_unit_test(rules_are_checked_and_do_not_run_over),
		cmocka_unit_test_setup_teardown(
			for_a_key_that_is_not_known_the_issuer_is_asked_but_seldom, begin, end),
		cmocka_unit_test_setup_teardown(
			keys_are_good_for_a_day_while_their_issuer_is_away, begin, end),
		cmocka_unit_test_setup_teardown(
			a_gate_can_read_the_keys_and_not_write_them, begin, end),
		cmocka_unit_test(keys_of_other_sizes_are_none),
		cmocka_unit_test(a_point_that_is_not_on_the_curve_verifies_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
