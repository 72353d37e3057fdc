#include "test.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/endian.h"
#include "device/io/packet.h"
#include "device/wireguard/loop.h"
#include "device/wireguard/messages.h"

enum { INDEX = 0x12345678, FRAGMENT_HEADER = 44, HEADER4 = 20, HEADER6 = 40 };

/* A packet of exactly its length, so that a read beyond it is found. */
static bool is_own(const uint8_t *bytes, size_t length, uint32_t index)
{
	uint8_t *data = malloc(length);
	struct packet packet;
	bool own;

	memcpy(data, bytes, length);
	assert_int_equal(packet_parse(data, length, &packet), 0);
	own = loop_is_own_message(data, &packet, index);
	free(data);
	return own;
}

static void write_message(uint8_t *udp, uint8_t type)
{
	struct message_transport message = {.type = type, .receiver = le32_make(INDEX)};

	memcpy(udp + PACKET_UDP_HEADER, &message, sizeof message);
}

static size_t make4(uint8_t data[256], uint16_t fragment, uint8_t type)
{
	size_t length = HEADER4 + PACKET_UDP_HEADER + sizeof(struct message_transport);

	memset(data, 0, 256);
	data[0] = 0x45;
	packet_set16(data + 2, (uint16_t)length);
	packet_set16(data + 6, fragment);
	data[9] = IPPROTO_UDP;
	write_message(data + HEADER4, type);
	return length;
}

static size_t make6(uint8_t data[256], bool fragmented, uint16_t offset)
{
	size_t udp = HEADER6 + (fragmented ? 8 : 0);
	size_t length = udp + PACKET_UDP_HEADER + sizeof(struct message_transport);

	memset(data, 0, 256);
	data[0] = 0x60;
	packet_set16(data + 4, (uint16_t)(length - HEADER6));
	data[6] = fragmented ? FRAGMENT_HEADER : IPPROTO_UDP;
	if (fragmented) {
		data[HEADER6] = IPPROTO_UDP;
		packet_set16(data + HEADER6 + 2, offset);
	}
	write_message(data + udp, MESSAGE_TRANSPORT);
	return length;
}

static void a_message_for_the_same_index_is_our_own_and_no_other_is(void **state)
{
	uint8_t data[256];
	size_t length = make4(data, 0x4000, MESSAGE_TRANSPORT);

	(void)state;
	assert_true(is_own(data, length, INDEX));
	assert_false(is_own(data, length, INDEX + 1));
	data[9] = IPPROTO_TCP;
	assert_false(is_own(data, length, INDEX));
	length = make4(data, 0, MESSAGE_INITIATION);
	assert_false(is_own(data, length, INDEX));
	length = make6(data, false, 0);
	assert_true(is_own(data, length, INDEX));
	assert_false(is_own(data, length, INDEX - 1));
}

static void the_first_fragment_shows_what_it_is_and_a_later_one_does_not(void **state)
{
	uint8_t data[256];
	size_t length = make4(data, 0x2000, MESSAGE_TRANSPORT);

	(void)state;
	assert_true(is_own(data, length, INDEX));
	length = make4(data, 0x2001, MESSAGE_TRANSPORT);
	assert_false(is_own(data, length, INDEX));
	length = make6(data, true, 1); /* more follow */
	assert_true(is_own(data, length, INDEX));
	length = make6(data, true, 8);
	assert_false(is_own(data, length, INDEX));
}

static void nothing_is_read_behind_a_packet_that_is_too_short(void **state)
{
	uint8_t data[256];
	size_t whole = make4(data, 0, MESSAGE_TRANSPORT);

	(void)state;
	for (size_t length = HEADER4; length < whole; length++) {
		packet_set16(data + 2, (uint16_t)length);
		assert_false(is_own(data, length, INDEX));
	}
	for (int fragmented = 0; fragmented < 2; fragmented++) {
		whole = make6(data, fragmented, 0);
		for (size_t length = HEADER6; length < whole; length++) {
			packet_set16(data + 4, (uint16_t)(length - HEADER6));
			assert_false(is_own(data, length, INDEX));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_for_the_same_index_is_our_own_and_no_other_is),
		cmocka_unit_test(the_first_fragment_shows_what_it_is_and_a_later_one_does_not),
		cmocka_unit_test(nothing_is_read_behind_a_packet_that_is_too_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
