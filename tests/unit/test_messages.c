#include "test.h"

#include "device/wireguard/messages.h"

static void a_message_has_the_length_of_its_type(void **state)
{
	static const struct {
		int type;
		size_t length;
	} fixed[] = {{MESSAGE_INITIATION, 148}, {MESSAGE_RESPONSE, 92}, {MESSAGE_COOKIE, 64}};
	uint8_t datagram[256] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
		datagram[0] = (uint8_t)fixed[i].type;
		for (size_t n = 0; n <= sizeof datagram; n++)
			assert_int_equal(messages_type(datagram, n),
				n == fixed[i].length ? fixed[i].type : 0);
	}
	datagram[0] = MESSAGE_TRANSPORT;
	for (size_t n = 0; n <= sizeof datagram; n++)
		assert_int_equal(messages_type(datagram, n), n >= 32 ? MESSAGE_TRANSPORT : 0);
}

static void reserved_bytes_are_zero_and_types_are_known(void **state)
{
	uint8_t datagram[148] = {MESSAGE_INITIATION};

	(void)state;
	for (int i = 1; i < 4; i++) {
		datagram[i] = 1;
		assert_int_equal(messages_type(datagram, sizeof datagram), 0);
		datagram[i] = 0;
	}
	for (int type = 0; type < 256; type++) {
		datagram[0] = (uint8_t)type;
		assert_int_equal(messages_type(datagram, sizeof datagram),
			type == MESSAGE_INITIATION || type == MESSAGE_TRANSPORT ? type : 0);
	}
}

static void integers_are_little_endian(void **state)
{
	static const uint8_t four[] = {0x78, 0x56, 0x34, 0x12};
	static const uint8_t eight[] = {8, 7, 6, 5, 4, 3, 2, 1};

	(void)state;
	assert_memory_equal(le32_make(0x12345678).bytes, four, 4);
	assert_memory_equal(le64_make(0x0102030405060708).bytes, eight, 8);
	assert_true(le32_get(le32_make(0xfedcba98)) == 0xfedcba98);
	assert_true(le64_get(le64_make(UINT64_MAX - 1)) == UINT64_MAX - 1);
}

static void packets_are_padded_to_16_bytes_but_not_beyond_the_mtu(void **state)
{
	(void)state;
	assert_int_equal(messages_padded(0, 1420), 0);
	assert_int_equal(messages_padded(1, 1420), 16);
	assert_int_equal(messages_padded(16, 1420), 16);
	assert_int_equal(messages_padded(1408, 1420), 1408);
	assert_int_equal(messages_padded(1409, 1420), 1420);
	assert_int_equal(messages_padded(1420, 1420), 1420);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_the_length_of_its_type),
		cmocka_unit_test(reserved_bytes_are_zero_and_types_are_known),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(packets_are_padded_to_16_bytes_but_not_beyond_the_mtu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
