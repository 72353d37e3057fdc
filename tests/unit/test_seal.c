#include "test.h"

#include <errno.h>
#include <string.h>

#include "store/seal.h"

enum { N = 8, SIZE = N + SEAL_OVERHEAD };

static const char plain[N + 1] = "a record";

static struct fleet_keys first_key(void)
{
	struct fleet_keys keys = {.n = 1};

	for (int i = 0; i < KEY_SIZE; i++)
		keys.keys[0].bytes[i] = (uint8_t)i;
	return keys;
}

static struct sealer *make_sealer(const struct fleet_keys *keys, uint8_t salt_byte)
{
	uint8_t salt[SEAL_SALT_SIZE];
	struct sealer *sealer;

	for (int i = 0; i < SEAL_SALT_SIZE; i++)
		salt[i] = (uint8_t)(salt_byte + i);
	assert_int_equal(sealer_new(keys, salt, &sealer), 0);
	return sealer;
}

static int open_it(struct sealer *sealer, const char *name, const uint8_t *sealed, size_t size)
{
	char text[N];
	uint64_t epoch;

	return sealer_open(sealer, name, sealed, size, text, N, &epoch);
}

/* Made with Python's cryptography: HKDF, ChaCha20Poly1305. */
static void records_are_sealed_as_another_implementation_seals_them(void **state)
{
	static const uint8_t known[2][SIZE] = {
		"\x01\x00\x00\x00\x9d\x48\xc1\x7f\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b"
		"\x4c\x4d\x4e\x4f\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00"
		"\xf7\xf6\xb2\x0d\xbf\x18\xa9\xa9\xbd\x5a\xf2\xc9\xad\x82\x8e\x65\xee\xc4\x83\x86"
		"\x0e\x63\x64\x06",
		"\x01\x00\x00\x00\x9d\x48\xc1\x7f\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b"
		"\x4c\x4d\x4e\x4f\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x01"
		"\x09\xb4\x73\xf1\xb9\x4b\xe8\x05\x44\xde\xbc\x61\x93\x2a\xd8\x1b\xb1\x4e\xe8\xc5"
		"\x97\x60\x87\x93",
	};
	const struct fleet_keys keys = first_key();
	struct sealer *sealer = make_sealer(&keys, 0x40);
	uint8_t sealed[SIZE];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sealer_seal(sealer, "peer/1", 7, plain, N, sealed), 0);
		assert_memory_equal(sealed, known[i], SIZE);
	}
	sealer_free(sealer);
}

static void what_one_process_seals_another_opens_with_its_epoch(void **state)
{
	const struct fleet_keys keys = first_key();
	struct sealer *one = make_sealer(&keys, 1), *other = make_sealer(&keys, 2);
	uint8_t sealed[SIZE];
	char text[N];
	uint64_t epoch;

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(
			sealer_seal(i % 2 ? other : one, "peer/1", i, plain, N, sealed), 0);
		assert_int_equal(sealer_open(other, "peer/1", sealed, SIZE, text, N, &epoch), 0);
		assert_int_equal(epoch, i);
		assert_memory_equal(text, plain, N);
	}
	sealer_free(one);
	sealer_free(other);
}

static void no_bit_of_a_record_can_be_changed(void **state)
{
	const struct fleet_keys keys = first_key();
	struct sealer *sealer = make_sealer(&keys, 1);
	uint8_t sealed[SIZE];

	(void)state;
	assert_int_equal(sealer_seal(sealer, "peer/1", 7, plain, N, sealed), 0);
	for (int bit = 0; bit < 8 * SIZE; bit++) {
		/* The three zeros among them: the whole header is authenticated. */
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(open_it(sealer, "peer/1", sealed, SIZE) < 0);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_it(sealer, "peer/1", sealed, SIZE), 0);
	sealer_free(sealer);
}

static void a_record_opens_under_its_own_name_alone(void **state)
{
	const struct fleet_keys keys = first_key();
	struct sealer *sealer = make_sealer(&keys, 1);
	uint8_t sealed[SIZE];

	(void)state;
	assert_int_equal(sealer_seal(sealer, "peer/1", 7, plain, N, sealed), 0);
	assert_int_equal(open_it(sealer, "peer/2", sealed, SIZE), -EBADMSG);
	assert_int_equal(open_it(sealer, "peer/", sealed, SIZE), -EBADMSG);
	assert_int_equal(open_it(sealer, "", sealed, SIZE), -EBADMSG);
	sealer_free(sealer);
}

static void a_record_of_another_size_does_not_open(void **state)
{
	const struct fleet_keys keys = first_key();
	struct sealer *sealer = make_sealer(&keys, 1);
	uint8_t sealed[SIZE + 1] = {0};

	(void)state;
	assert_int_equal(sealer_seal(sealer, "peer/1", 7, plain, N, sealed), 0);
	for (size_t size = 0; size <= sizeof sealed; size++)
		assert_int_equal(
			open_it(sealer, "peer/1", sealed, size), size == SIZE ? 0 : -EBADMSG);
	sealer_free(sealer);
}

/* Before anything was opened, no key is known that a header of zeros could stand for. */
static void a_key_that_nobody_has_opens_nothing(void **state)
{
	const struct fleet_keys keys = first_key();
	struct sealer *sealer = make_sealer(&keys, 1);
	uint8_t sealed[SIZE] = {1};

	(void)state;
	assert_int_equal(open_it(sealer, "peer/1", sealed, SIZE), -ENOKEY);
	sealer_free(sealer);
}

static void the_second_key_opens_and_does_not_seal(void **state)
{
	struct fleet_keys keys = first_key(), both, other = first_key();
	struct sealer *old, *rotating, *new;
	uint8_t sealed[SIZE];

	(void)state;
	other.keys[0].bytes[0] ^= 1;
	both = (struct fleet_keys){{keys.keys[0], other.keys[0]}, 2};
	old = make_sealer(&keys, 1);
	rotating = make_sealer(&both, 2);
	new = make_sealer(&other, 3);
	assert_int_equal(sealer_seal(new, "peer/1", 7, plain, N, sealed), 0);
	assert_int_equal(open_it(rotating, "peer/1", sealed, SIZE), 0);
	assert_int_equal(open_it(old, "peer/1", sealed, SIZE), -ENOKEY);
	assert_int_equal(sealer_seal(rotating, "peer/1", 7, plain, N, sealed), 0);
	assert_int_equal(open_it(old, "peer/1", sealed, SIZE), 0);
	assert_int_equal(open_it(new, "peer/1", sealed, SIZE), -ENOKEY);
	sealer_free(old);
	sealer_free(rotating);
	sealer_free(new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_sealed_as_another_implementation_seals_them),
		cmocka_unit_test(what_one_process_seals_another_opens_with_its_epoch),
		cmocka_unit_test(no_bit_of_a_record_can_be_changed),
		cmocka_unit_test(a_record_opens_under_its_own_name_alone),
		cmocka_unit_test(a_record_of_another_size_does_not_open),
		cmocka_unit_test(a_key_that_nobody_has_opens_nothing),
		cmocka_unit_test(the_second_key_opens_and_does_not_seal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
