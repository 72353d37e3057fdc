#include "hex.h"

#include "device/crypto/blake2s.h"

static int set_up(void **state)
{
	*state = blake2s_new();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	blake2s_free(*state);
	return 0;
}

static void hash_gives_what_rfc_7693_has(void **state)
{
	static const char abc[] =
		"508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982";
	uint8_t out[BLAKE2S_SIZE];

	assert_int_equal(blake2s_hash(*state, "abc", 3, NULL, 0, out), 0);
	assert_hex_equal(out, sizeof out, abc);
	assert_int_equal(blake2s_hash(*state, "a", 1, "bc", 2, out), 0);
	assert_hex_equal(out, sizeof out, abc);
}

static void the_output_of_a_hash_may_be_its_input(void **state)
{
	uint8_t data[BLAKE2S_SIZE] = {1, 2, 3}, out[BLAKE2S_SIZE];

	blake2s_hash(*state, data, sizeof data, "x", 1, out);
	blake2s_hash(*state, data, sizeof data, "x", 1, data);
	assert_memory_equal(out, data, sizeof out);
}

/* The following are of Python's hashlib and hmac. The key is the bytes 0 to 31, the input 0 to 99.
 */
static void make_input(uint8_t key[32], uint8_t input[100])
{
	for (uint8_t i = 0; i < 32; i++)
		key[i] = i;
	for (uint8_t i = 0; i < 100; i++)
		input[i] = i;
}

static void mac_is_keyed_blake2s_of_16_bytes(void **state)
{
	uint8_t key[32], input[100], out[BLAKE2S_MAC_SIZE];

	make_input(key, input);
	assert_int_equal(blake2s_mac(*state, key, 32, input, 100, out), 0);
	assert_hex_equal(out, sizeof out, "0b67d33f8b859c3157fbabd9e6e47ed0");
	assert_int_equal(blake2s_mac(*state, key, 16, input, 100, out), 0);
	assert_hex_equal(out, sizeof out, "56301549e674c3b72a0e1dafb7a2c620");
	assert_int_equal(blake2s_mac(*state, key, 32, NULL, 0, out), 0);
	assert_hex_equal(out, sizeof out, "9536f9b267655743dee97b8a670f9f53");
}

static void hmac_is_that_of_rfc_2104_over_blake2s(void **state)
{
	uint8_t key[32], input[100], out[BLAKE2S_SIZE];

	make_input(key, input);
	assert_int_equal(blake2s_hmac(*state, key, input, 100, out), 0);
	assert_hex_equal(out, sizeof out,
		"a81c95080ba2a7c4ed1b7b4c21dec2c4fd6dc9f03ff37b6d65289dc95a7d1ef1");
}

static void kdf_gives_as_many_outputs_as_asked(void **state)
{
	uint8_t key[32], input[100], one[32], two[32], three[32];

	make_input(key, input);
	assert_int_equal(blake2s_kdf(*state, key, input, 100, one, two, three), 0);
	assert_hex_equal(
		one, 32, "90d0e91cdaea20e41b7e43ef99a35292921d3d49c1d86f48ddf62dbc1cc1bb01");
	assert_hex_equal(
		two, 32, "8814819cb396ee544e3a8314285739d6527a8d87cf930252e61501140ddbba51");
	assert_hex_equal(
		three, 32, "2d4748e29b90d92057489d6aaa0ee0d2a135113b4baaefb8d82fb54bffe16496");
	memset(one, 0, sizeof one);
	memset(two, 0, sizeof two);
	/* The first may replace the key. */
	assert_int_equal(blake2s_kdf(*state, key, input, 100, key, two, NULL), 0);
	assert_hex_equal(
		key, 32, "90d0e91cdaea20e41b7e43ef99a35292921d3d49c1d86f48ddf62dbc1cc1bb01");
	assert_hex_equal(
		two, 32, "8814819cb396ee544e3a8314285739d6527a8d87cf930252e61501140ddbba51");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_gives_what_rfc_7693_has),
		cmocka_unit_test(the_output_of_a_hash_may_be_its_input),
		cmocka_unit_test(mac_is_keyed_blake2s_of_16_bytes),
		cmocka_unit_test(hmac_is_that_of_rfc_2104_over_blake2s),
		cmocka_unit_test(kdf_gives_as_many_outputs_as_asked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
