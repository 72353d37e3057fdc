#include "test.h"

#include <stdlib.h>

#include "device/io/coalesce.h"
#include "device/io/gso.h"
#include "device/io/packet.h"
#include "device/io/segment.h"
#include "flows.h"

enum {
	FLOWS = 6,
	PACKETS = 3000, /* a round */
	ROUNDS = 20,
	SYN = 2,
	PSH = 8,
	ACK = 16,
};

/* Packets in order: those put in, and those that come out once what was written is cut again. */
struct record {
	size_t n;
	struct {
		uint8_t *data;
		size_t length;
	} packets[2 * PACKETS];
};

struct output {
	struct record record;
	size_t writes;
	struct virtio_net_hdr last;
};

static void remember(struct record *record, const uint8_t *data, size_t length)
{
	assert_true(record->n < 2 * PACKETS);
	record->packets[record->n].data = malloc(length + SEGMENT_PAD_MAX);
	memcpy(record->packets[record->n].data, data, length);
	record->packets[record->n++].length = length;
}

static void forget(struct record *record)
{
	while (record->n > 0)
		free(record->packets[--record->n].data);
}

/* As the kernel would: takes the super-packet apart, if it is one. */
static void write_packet(void *context, const struct iovec *vector, int n)
{
	struct output *output = context;
	uint8_t *packet = malloc(FLOW_PACKET_MAX);
	struct segmenter segmenter;
	struct segment segment;
	size_t length = 0;

	memcpy(&output->last, vector[0].iov_base, sizeof output->last);
	for (int i = 1; i < n; i++) {
		memcpy(packet + length, vector[i].iov_base, vector[i].iov_len);
		length += vector[i].iov_len;
	}
	assert_int_equal(segmenter_begin(&segmenter, &output->last, packet, length), 0);
	while (segmenter_next(&segmenter, &segment))
		remember(&output->record, segment.data, segment.length);
	output->writes++;
	free(packet);
}

static uint8_t flow_of(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? packet[15] : packet[23];
}

/* Every flow's packets, in their order, are the same in both. */
static void assert_same_flows(const struct record *in, const struct record *out)
{
	assert_int_equal(in->n, out->n);
	for (int flow = 0; flow < FLOWS; flow++) {
		size_t k = 0;

		for (size_t i = 0; i < in->n; i++) {
			if (flow_of(in->packets[i].data) != flow)
				continue;
			while (k < out->n && flow_of(out->packets[k].data) != flow)
				k++;
			assert_true(k < out->n);
			assert_int_equal(in->packets[i].length, out->packets[k].length);
			assert_memory_equal(
				in->packets[i].data, out->packets[k].data, in->packets[i].length);
			k++;
		}
	}
}

static struct flow make_flow(uint8_t address)
{
	return (struct flow){.version = address % 2 ? 4 : 6,
		.udp = random() % 3 == 0,
		.ip_options = random() % 6 == 0 ? 8 : 0,
		.tcp_options = (uint8_t)(random() % 4 * 12 % 40),
		.dont_fragment = random() % 2,
		.address = address,
		.id = (uint16_t)random(),
		.sequence = (uint32_t)random() * 3};
}

/* One packet of a flow on its own, with its checksum. */
static void make_packets(struct flow *flow, struct record *in)
{
	uint8_t *packet = malloc(FLOW_PACKET_MAX);
	size_t step = 50 + (size_t)random() % 1300, payload = 1 + (size_t)random() % (step * 8);
	struct virtio_net_hdr header;
	struct segmenter segmenter;
	struct segment segment;
	uint8_t flags =
		(uint8_t)(ACK | (random() % 4 == 0 ? PSH : 0) | (random() % 9 == 0 ? SYN : 0));
	size_t length = flow_super_packet(flow, payload, step, flags, &header, packet);

	assert_int_equal(segmenter_begin(&segmenter, &header, packet, length), 0);
	while (segmenter_next(&segmenter, &segment) && in->n < PACKETS) {
		if (random() % 40 == 0) /* somebody else broke it on the way */
			segment.data[segment.length - 1] ^= 1;
		remember(in, segment.data, segment.length);
	}
	free(packet);
}

static void run(struct coalescer *c, const struct record *in, struct output *out)
{
	struct record copies = {0};

	for (size_t i = 0; i < in->n; i++) {
		remember(&copies, in->packets[i].data, in->packets[i].length);
		if (coalescer_is_full(c) || random() % 200 == 0)
			coalescer_flush(c, write_packet, out);
		coalescer_add(c, copies.packets[i].data, copies.packets[i].length);
	}
	coalescer_flush(c, write_packet, out);
	forget(&copies);
}

static void what_is_joined_and_cut_again_is_what_came(void **state)
{
	struct coalescer *c = malloc(sizeof *c);
	struct record *in = calloc(1, sizeof *in);
	struct output *out = calloc(1, sizeof *out);

	(void)state;
	srandom(4);
	coalescer_init(c, true);
	for (int round = 0; round < ROUNDS; round++) {
		struct flow flows[FLOWS];

		for (uint8_t i = 0; i < FLOWS; i++)
			flows[i] = make_flow(i);
		while (in->n < PACKETS)
			make_packets(&flows[random() % FLOWS], in);
		run(c, in, out);
		assert_same_flows(in, &out->record);
		assert_true(out->writes < in->n);
		forget(in);
		forget(&out->record);
		out->writes = 0;
	}
	free(c);
	free(in);
	free(out);
}

/* Cuts one super-packet, lets the test spoil its packets, and returns how many writes they take. */
static size_t writes_for(struct flow flow, size_t payload, size_t step, bool udp,
	void (*spoil)(uint8_t *packet, size_t i), struct virtio_net_hdr *last)
{
	struct coalescer *c = malloc(sizeof *c);
	struct output *out = calloc(1, sizeof *out);
	struct record in = {0};
	uint8_t *packet = malloc(FLOW_PACKET_MAX);
	struct virtio_net_hdr header;
	size_t length = flow_super_packet(&flow, payload, step, ACK, &header, packet), writes;
	struct segmenter segmenter;
	struct segment segment;

	coalescer_init(c, udp);
	assert_int_equal(segmenter_begin(&segmenter, &header, packet, length), 0);
	while (segmenter_next(&segmenter, &segment))
		remember(&in, segment.data, segment.length);
	for (size_t i = 0; i < in.n; i++) {
		if (spoil)
			spoil(in.packets[i].data, i);
		coalescer_add(c, in.packets[i].data, in.packets[i].length);
	}
	coalescer_flush(c, write_packet, out);
	writes = out->writes;
	*last = out->last;
	forget(&in);
	forget(&out->record);
	free(out);
	free(packet);
	free(c);
	return writes;
}

static void a_full_stream_becomes_one_super_packet(void **state)
{
	struct virtio_net_hdr last;

	(void)state;
	assert_int_equal(writes_for((struct flow){.version = 4, .tcp_options = 12}, 45 * 1368 - 5,
				 1368, true, NULL, &last),
		1);
	assert_int_equal(last.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(last.gso_size, 1368);
	assert_int_equal(last.hdr_len, 52);
	assert_int_equal(last.csum_start, 20);
	assert_int_equal(last.csum_offset, 16);
	assert_int_equal(
		writes_for((struct flow){.version = 6}, 45 * 1360, 1360, true, NULL, &last), 1);
	assert_int_equal(last.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
	assert_int_equal(writes_for((struct flow){.version = 6, .udp = true}, 64 * 900, 900, true,
				 NULL, &last),
		1);
	assert_int_equal(last.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
}

static void udp_is_left_alone_where_the_tun_cannot_take_it(void **state)
{
	struct virtio_net_hdr last;

	(void)state;
	assert_int_equal(writes_for((struct flow){.version = 4, .udp = true}, 5000, 1000, false,
				 NULL, &last),
		5);
}

static void spoil_checksum(uint8_t *packet, size_t i)
{
	if (i == 2)
		packet[36] ^= 1;
}

static void spoil_first_checksum(uint8_t *packet, size_t i)
{
	if (i == 0)
		packet[36] ^= 1;
}

static void make_fragment(uint8_t *packet, size_t i)
{
	(void)i;
	packet[6] |= 0x20;
	packet_set16(packet + 10, 0);
	packet_set16(packet + 10, (uint16_t)~naive_sum(0, packet, 20));
}

static void change_ttl(uint8_t *packet, size_t i)
{
	packet[8] = (uint8_t)(packet[8] - i % 2);
	packet_set16(packet + 10, 0);
	packet_set16(packet + 10, (uint16_t)~naive_sum(0, packet, 20));
}

static void clear_udp_checksum(uint8_t *packet, size_t i)
{
	(void)i;
	packet_set16(packet + 26, 0);
}

static void what_differs_is_not_joined(void **state)
{
	const struct flow tcp = {.version = 4}, udp = {.version = 4, .udp = true};
	struct virtio_net_hdr last;

	(void)state;
	assert_int_equal(writes_for(tcp, 6000, 1000, true, spoil_checksum, &last), 3);
	assert_int_equal(writes_for(tcp, 6000, 1000, true, spoil_first_checksum, &last), 2);
	assert_int_equal(writes_for(tcp, 6000, 1000, true, make_fragment, &last), 6);
	assert_int_equal(writes_for(tcp, 6000, 1000, true, change_ttl, &last), 6);
	assert_int_equal(writes_for(udp, 6000, 1000, true, clear_udp_checksum, &last), 6);
	assert_int_equal(last.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

static void garbage_goes_through_as_it_is(void **state)
{
	struct coalescer *c = malloc(sizeof *c);
	struct output *out = calloc(1, sizeof *out);

	(void)state;
	srandom(5);
	coalescer_init(c, true);
	for (int i = 0; i < 20000; i++) {
		size_t length = 20 + (size_t)random() % 100;
		uint8_t *packet = malloc(length);

		for (size_t k = 0; k < length; k++)
			packet[k] = (uint8_t)random();
		packet[0] = (uint8_t)((random() % 2 ? 0x40 : 0x60) | (packet[0] & 15));
		packet[packet[0] >> 4 == 4 ? 9 : 6] = random() % 2 ? PACKET_TCP : PACKET_UDP;
		coalescer_add(c, packet, length);
		coalescer_flush(c, write_packet, out);
		assert_int_equal(out->record.n, 1);
		assert_memory_equal(out->record.packets[0].data, packet, length);
		forget(&out->record);
		free(packet);
	}
	free(c);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_joined_and_cut_again_is_what_came),
		cmocka_unit_test(a_full_stream_becomes_one_super_packet),
		cmocka_unit_test(udp_is_left_alone_where_the_tun_cannot_take_it),
		cmocka_unit_test(what_differs_is_not_joined),
		cmocka_unit_test(garbage_goes_through_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
