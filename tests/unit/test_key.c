#include "test.h"

#include <errno.h>

#include <openssl/evp.h>

#include "base/key.h"

/* RFC 7748, section 6.1: Alice's key pair. */
static const char alice_private[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
static const char alice_public[] = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

static struct key key(const char *text)
{
	struct key k;

	assert_int_equal(key_parse(text, strlen(text), &k), 0);
	return k;
}

static void a_public_key_is_derived_as_rfc_7748_has_it(void **state)
{
	struct key private_key = key(alice_private), public_key;

	(void)state;
	assert_int_equal(key_derive_public(&private_key, &public_key), 0);
	assert_string_equal(key_text(&public_key).s, alice_public);
}

static void a_key_is_its_bytes_and_not_its_text(void **state)
{
	struct key plain = key(alice_public);
	struct key broken_lines = key("hSDwCYkwp1R0i33ctD73Wg2/\r\nOg0mOBr066SpjqqbTmo=\n");
	struct key trailing_bits = key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp=");

	(void)state;
	assert_true(key_equal(&plain, &broken_lines));
	assert_true(key_equal(&plain, &trailing_bits));
}

static void what_is_not_the_base64_of_32_bytes_is_no_key(void **state)
{
	static const char *const bad[] = {
		"",
		"=",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo==",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTg==",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmoA",
		"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmoAAAA=",
		"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo=",
		"hSDwCYkwp1R0i33ctD73Wg2/ Og0mOBr066SpjqqbTmo=",
		"=hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",
	};
	struct key k;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(key_parse(bad[i], strlen(bad[i]), &k), -EINVAL);
	assert_int_equal(key_parse("hSDw\0CYk", 8, &k), -EINVAL);
}

static void generated_keys_are_clamped_and_differ(void **state)
{
	struct key a, b;

	(void)state;
	assert_int_equal(key_generate_private(&a), 0);
	assert_int_equal(key_generate_private(&b), 0);
	assert_false(key_equal(&a, &b));
	assert_int_equal(a.bytes[0] & 7, 0);
	assert_int_equal(a.bytes[31] & 0xc0, 0x40);
}

/* The other way to know it: the library computes the secret, and refuses one that is zero. */
static bool agrees_to_zero(const struct key *public_key)
{
	struct key own = key(alice_private), secret;
	size_t length = KEY_SIZE;
	EVP_PKEY *private_key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, own.bytes, KEY_SIZE);
	EVP_PKEY *peer =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key->bytes, KEY_SIZE);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(private_key, NULL);
	bool failed;

	assert_int_equal(EVP_PKEY_derive_init(context), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(context, peer), 1);
	failed = EVP_PKEY_derive(context, secret.bytes, &length) != 1;
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(private_key);
	return failed;
}

/* Also with bit 255 set, which is ignored. Returns whether it is of low order. */
static bool assert_judged_right(struct key candidate)
{
	bool is_low = key_is_low_order(&candidate);

	assert_int_equal(is_low, agrees_to_zero(&candidate));
	candidate.bytes[KEY_SIZE - 1] ^= 0x80;
	assert_int_equal(key_is_low_order(&candidate), is_low);
	assert_int_equal(agrees_to_zero(&candidate), is_low);
	return is_low;
}

static void the_keys_of_low_order_are_those_that_agree_to_zero(void **state)
{
	static const char *const of_order_8[] = {"4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=",
		"X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc="};
	struct key near_zero = {{0}}, near_prime;
	unsigned int n_low = 0;

	(void)state;
	memset(near_prime.bytes, 0xff, sizeof near_prime.bytes);
	near_prime.bytes[KEY_SIZE - 1] = 0x7f;
	for (unsigned int i = 0; i < 256; i++) {
		near_zero.bytes[0] = near_prime.bytes[0] = (uint8_t)i;
		n_low += assert_judged_right(near_zero);
		n_low += assert_judged_right(near_prime);
	}
	assert_int_equal(n_low, 2 + 3); /* 0, 1; p - 1, p, p + 1 */
	for (size_t i = 0; i < 2; i++)
		assert_true(assert_judged_right(key(of_order_8[i])));
	assert_false(assert_judged_right(key(alice_public)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_keys_of_low_order_are_those_that_agree_to_zero),
		cmocka_unit_test(a_public_key_is_derived_as_rfc_7748_has_it),
		cmocka_unit_test(a_key_is_its_bytes_and_not_its_text),
		cmocka_unit_test(what_is_not_the_base64_of_32_bytes_is_no_key),
		cmocka_unit_test(generated_keys_are_clamped_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
