#include "test.h"

#include "base/checksum.h"
#include "device/io/ecn.h"
#include "flows.h"

enum { ROOM = 2048, PAYLOAD = 100, DROPPED = -1 };

/* RFC 6040, figure 4: by inner, then by outer field. */
static const int table[4][4] = {
	[ECN_NONE] = {[ECN_NONE] = ECN_NONE,
		[ECN_ECT0] = ECN_NONE,
		[ECN_ECT1] = ECN_NONE,
		[ECN_CE] = DROPPED},
	[ECN_ECT0] = {[ECN_NONE] = ECN_ECT0,
		[ECN_ECT0] = ECN_ECT0,
		[ECN_ECT1] = ECN_ECT1,
		[ECN_CE] = ECN_CE},
	[ECN_ECT1] = {[ECN_NONE] = ECN_ECT1,
		[ECN_ECT0] = ECN_ECT1,
		[ECN_ECT1] = ECN_ECT1,
		[ECN_CE] = ECN_CE},
	[ECN_CE] =
		{[ECN_NONE] = ECN_CE, [ECN_ECT0] = ECN_CE, [ECN_ECT1] = ECN_CE, [ECN_CE] = ECN_CE},
};

/* A whole packet, whose other bits of the same bytes are set. */
static void make_packet(uint8_t version, int ecn, uint8_t packet[ROOM])
{
	struct flow flow = {.version = version};
	struct virtio_net_hdr header;
	uint16_t check;

	flow_super_packet(&flow, PAYLOAD, PAYLOAD, 0, &header, packet);
	if (version == 6) {
		packet[0] |= 0xf;
		packet[1] = (uint8_t)(0xcf | ecn << 4);
		return;
	}
	packet[1] = (uint8_t)(0xfc | ecn);
	packet[10] = packet[11] = 0;
	check = checksum_field(packet, 20);
	memcpy(packet + 10, &check, sizeof check);
}

static void what_comes_out_is_as_the_rfc_has_it(uint8_t version)
{
	uint8_t packet[ROOM], wanted[ROOM];

	for (int inner = 0; inner < 4; inner++)
		for (int outer = 0; outer < 4; outer++) {
			int result = table[inner][outer];

			make_packet(version, inner, packet);
			assert_int_equal(ecn_get(packet), inner);
			/* the outer header's other bits do not count */
			assert_int_equal(ecn_decapsulate(packet, (uint8_t)(0x88 | outer)),
				result != DROPPED);
			make_packet(version, result == DROPPED ? inner : result, wanted);
			assert_memory_equal(packet, wanted, 40);
		}
}

static void in_ipv4_what_comes_out_is_as_the_rfc_has_it(void **state)
{
	(void)state;
	what_comes_out_is_as_the_rfc_has_it(4);
}

static void in_ipv6_what_comes_out_is_as_the_rfc_has_it(void **state)
{
	(void)state;
	what_comes_out_is_as_the_rfc_has_it(6);
}

static void a_wrong_checksum_is_not_put_right(void **state)
{
	uint8_t packet[ROOM];

	(void)state;
	make_packet(4, ECN_ECT0, packet);
	packet[10] ^= 0x40;
	assert_true(ecn_decapsulate(packet, ECN_CE));
	assert_int_equal(ecn_get(packet), ECN_CE);
	assert_int_not_equal(checksum_field(packet, 20), 0);
	packet[10] ^= 0x40;
	assert_int_equal(checksum_field(packet, 20), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_ipv4_what_comes_out_is_as_the_rfc_has_it),
		cmocka_unit_test(in_ipv6_what_comes_out_is_as_the_rfc_has_it),
		cmocka_unit_test(a_wrong_checksum_is_not_put_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
