#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "device/io/gso.h"
#include "device/io/packet.h"
#include "device/io/segment.h"
#include "flows.h"

enum {
	ROUNDS = 400,
	FIN = 1,
	PSH = 8,
	ACK = 16,
	CWR = 128,
};

static struct flow random_flow(void)
{
	return (struct flow){.version = random() % 2 ? 4 : 6,
		.udp = random() % 3 == 0,
		.ip_options = random() % 3 == 0 ? 8 : 0,
		.tcp_options = (uint8_t)(random() % 11 * 4),
		.dont_fragment = random() % 2,
		.id = (uint16_t)random(),
		.sequence = (uint32_t)random() * 3};
}

/* Checks one segment against the super-packet that it was cut from. */
static void check_segment(const struct flow *before, const struct segment *segment,
	const uint8_t *original, size_t headers, size_t at, size_t i, bool last)
{
	const uint8_t *t = segment->data + flow_transport(before);
	struct packet packet;

	assert_int_equal(packet_parse(segment->data, segment->length, &packet), 0);
	assert_int_equal(packet.length, segment->length);
	assert_true(checksums_are_good(segment->data, segment->length));
	assert_memory_equal(
		segment->data + headers, original + headers + at, segment->length - headers);
	if (before->version == 4)
		assert_int_equal(packet_get16(segment->data + 4), (uint16_t)(before->id + i));
	if (before->udp) {
		assert_int_equal(packet_get16(t + 4), segment->length - flow_transport(before));
		return;
	}
	assert_int_equal(packet_get32(t + 4), (uint32_t)(before->sequence + at));
	assert_int_equal(t[13] & (FIN | PSH), last ? FIN | PSH : 0);
	assert_int_equal(t[13] & CWR, i == 0 ? CWR : 0);
}

static void cut_one(uint8_t *packet, uint8_t *original)
{
	struct flow flow = random_flow(), before = flow;
	size_t payload = 1 + (size_t)random() % 60000, step = 100 + (size_t)random() % 1400, at = 0;
	struct virtio_net_hdr header;
	size_t length =
		flow_super_packet(&flow, payload, step, FIN | PSH | ACK | CWR, &header, packet);
	struct segmenter segmenter;
	struct segment segment;
	size_t i = 0;

	memcpy(original, packet, length);
	assert_int_equal(segmenter_begin(&segmenter, &header, packet, length), 0);
	assert_int_equal(segmenter_count(&segmenter), (payload + step - 1) / step);
	while (segmenter_next(&segmenter, &segment)) {
		size_t pad = (size_t)random() % (SEGMENT_PAD_MAX + 1);
		size_t got = segment.length - header.hdr_len;

		check_segment(
			&before, &segment, original, header.hdr_len, at, i, at + got == payload);
		segmenter_pad(&segmenter, &segment, pad);
		for (size_t k = 0; k < pad; k++)
			assert_int_equal(segment.data[segment.length + k], 0);
		assert_true(got == step || at + got == payload);
		at += got;
		i++;
	}
	assert_int_equal(at, payload);
	assert_int_equal(i, segmenter_count(&segmenter));
}

static void super_packets_are_cut_into_whole_correct_packets(void **state)
{
	uint8_t *packet = malloc(FLOW_PACKET_MAX), *original = malloc(FLOW_PACKET_MAX);

	(void)state;
	srandom(2);
	for (int i = 0; i < ROUNDS; i++)
		cut_one(packet, original);
	free(packet);
	free(original);
}

static void a_packet_that_needs_nothing_is_left_alone(void **state)
{
	uint8_t packet[] = {0x45, 0, 0, 21, 0, 0, 0, 0, 1, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
		[21 + SEGMENT_PAD_MAX] = 0};
	const struct virtio_net_hdr header = {0};
	struct segmenter segmenter;
	struct segment segment;

	(void)state;
	assert_int_equal(segmenter_begin(&segmenter, &header, packet, 21), 0);
	assert_true(segmenter_next(&segmenter, &segment));
	assert_ptr_equal(segment.data, packet);
	assert_int_equal(segment.length, 21);
	assert_false(segmenter_next(&segmenter, &segment));
}

static void a_udp_checksum_of_zero_is_sent_as_ones(void **state)
{
	struct flow flow = {.version = 4, .udp = true};
	uint8_t packet[64];
	struct virtio_net_hdr header;
	size_t length = flow_super_packet(&flow, 2, 100, 0, &header, packet);
	struct segmenter segmenter;
	uint16_t sum;

	(void)state;
	/* the payload makes the sum 0xffff, of which the complement is zero */
	packet[28] = packet[29] = 0;
	sum = naive_sum(0, packet + 20, 10);
	packet_set16(packet + 28, (uint16_t)~sum);
	assert_int_equal(segmenter_begin(&segmenter, &header, packet, length), 0);
	assert_int_equal(packet_get16(packet + 26), 0xffff);
}

static void headers_that_do_not_fit_their_packet_are_refused(void **state)
{
	uint8_t packet[300], copy[300];
	struct flow flow = {.version = 4};
	struct virtio_net_hdr good, bad;
	size_t length = flow_super_packet(&flow, 200, 100, ACK, &good, packet);
	struct segmenter segmenter;

	(void)state;
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		bad = good;                                                                        \
		memcpy(copy, packet, sizeof copy);                                                 \
		change;                                                                            \
		assert_int_equal(segmenter_begin(&segmenter, &bad, copy, length), -EINVAL);        \
	} while (0)
	REFUSED(bad.gso_size = 0);
	REFUSED(bad.flags = 0);
	REFUSED(bad.gso_type = 77);
	REFUSED(bad.csum_start = (uint16_t)(length - 10));
	REFUSED(bad.csum_start = 4);
	REFUSED(bad.csum_offset = 6);
	REFUSED(copy[0] = 0x55);
	REFUSED(copy[0] = 0x4f; bad.csum_start = 20);
	REFUSED(copy[32] = 0x10); /* a TCP header shorter than it can be */
	REFUSED(packet_set16(copy + 2, 100));
	REFUSED(bad.gso_type = 0; bad.csum_start = (uint16_t)length);
	REFUSED(bad.gso_type = 0; bad.csum_offset = (uint16_t)length);
#undef REFUSED
}

static void garbage_never_leads_out_of_the_packet(void **state)
{
	(void)state;
	srandom(3);
	for (int i = 0; i < 100000; i++) {
		size_t length = 1 + (size_t)random() % 400;
		uint8_t *packet = malloc(length + SEGMENT_PAD_MAX);
		struct virtio_net_hdr header;
		struct segmenter segmenter;
		struct segment segment;

		for (size_t k = 0; k < length; k++)
			packet[k] = (uint8_t)random();
		packet[0] = (uint8_t)((random() % 2 ? 0x40 : 0x60) | (packet[0] & 7));
		if (length > 6 && random() % 2)
			packet_set16(packet + (packet[0] >> 4 == 4 ? 2 : 4),
				(uint16_t)(length - (packet[0] >> 4 == 4 ? 0 : 40)));
		for (size_t k = 0; k < sizeof header; k++)
			((uint8_t *)&header)[k] = (uint8_t)(random() % 48);
		header.flags = (uint8_t)(random() % 2);
		header.gso_type = (uint8_t)(random() % 6);
		header.csum_offset = random() % 2 ? 6 : 16;
		if (segmenter_begin(&segmenter, &header, packet, length) == 0) {
			size_t n = 0;

			while (segmenter_next(&segmenter, &segment)) {
				assert_true(segment.data + segment.length <= packet + length);
				segmenter_pad(&segmenter, &segment, SEGMENT_PAD_MAX);
				n++;
			}
			assert_int_equal(n, segmenter_count(&segmenter));
		}
		free(packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(super_packets_are_cut_into_whole_correct_packets),
		cmocka_unit_test(a_packet_that_needs_nothing_is_left_alone),
		cmocka_unit_test(a_udp_checksum_of_zero_is_sent_as_ones),
		cmocka_unit_test(headers_that_do_not_fit_their_packet_are_refused),
		cmocka_unit_test(garbage_never_leads_out_of_the_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
