#include "test.h"

#include <errno.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_public_key_is_derived_as_rfc_7748_has_it),
		cmocka_unit_test(a_key_is_its_bytes_and_not_its_text),
		cmocka_unit_test(what_is_not_the_base64_of_32_bytes_is_no_key),
		cmocka_unit_test(generated_keys_are_clamped_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
