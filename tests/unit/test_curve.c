#include "hex.h"

#include <errno.h>

#include "device/crypto/curve.h"

static struct key key_of(const char *hex)
{
	struct key key;

	from_hex(hex, key.bytes, sizeof key.bytes);
	return key;
}

static void check_agreement(const char *own, const char *remote, const char *shared_hex)
{
	struct key private_key = key_of(own), public_key = key_of(remote), own_public, shared;
	struct curve_key *key = curve_key_new(&private_key, &own_public);

	assert_non_null(key);
	assert_int_equal(curve_agree(key, &public_key, &shared), 0);
	assert_hex_equal(shared.bytes, KEY_SIZE, shared_hex);
	curve_key_free(key);
}

static void agreements_are_those_of_rfc_7748(void **state)
{
	(void)state;
	/* 5.2 */
	check_agreement("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	check_agreement("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
	/* 6.1 */
	check_agreement("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

static void a_public_key_is_derived_as_rfc_7748_has_it(void **state)
{
	struct key private_key =
		key_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	struct key public_key;
	struct curve_key *key = curve_key_new(&private_key, &public_key);

	(void)state;
	assert_non_null(key);
	assert_hex_equal(public_key.bytes, KEY_SIZE,
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	curve_key_free(key);
}

static void points_of_low_order_are_refused(void **state)
{
	/* All there are below 2^255, and those that are one of them modulo p = 2^255 - 19. */
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000080",
	};
	struct key private_key =
		key_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	struct key public_key, shared;
	struct curve_key *key = curve_key_new(&private_key, &public_key);

	(void)state;
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		struct key point = key_of(points[i]);

		assert_int_equal(curve_agree(key, &point, &shared), -EINVAL);
	}
	curve_key_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreements_are_those_of_rfc_7748),
		cmocka_unit_test(a_public_key_is_derived_as_rfc_7748_has_it),
		cmocka_unit_test(points_of_low_order_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
