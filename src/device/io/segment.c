/*
 * Cuts super-packets from the TUN. Runs in every worker, and in the control thread for what was
 * staged.
 */
#include "device/io/segment.h"

#include <errno.h>
#include <string.h>

#include "base/checksum.h"
#include "device/io/gso.h"
#include "device/io/headers.h"
#include "device/io/packet.h"

/* Stores a checksum that may not be sent as zero in UDP, where that means "none". */
static void store_checksum(uint8_t *field, uint64_t sum, uint8_t protocol)
{
	uint16_t check = (uint16_t)~checksum_fold(sum);

	if (check == 0 && protocol == PACKET_UDP)
		check = 0xffff;
	memcpy(field, &check, sizeof check);
}

/* What the kernel left to the hardware: the field holds the pseudo-header's part. */
static int finish_checksum(const struct virtio_net_hdr *header, uint8_t *packet, size_t length)
{
	size_t start = header->csum_start, field = start + header->csum_offset;
	bool udp = header->csum_offset == UDP_CHECKSUM;

	if (start >= length || field + sizeof(uint16_t) > length || header->csum_offset % 2 != 0)
		return -EINVAL;
	store_checksum(packet + field, checksum_add(0, packet + start, length - start),
		udp ? PACKET_UDP : PACKET_TCP);
	return 0;
}

static size_t transport_header(const struct segmenter *s)
{
	if (s->protocol == PACKET_UDP)
		return PACKET_UDP_HEADER;
	return (size_t)(s->packet[s->transport + TCP_DATA_OFFSET] >> 4) * 4;
}

static int begin_cutting(struct segmenter *s, const struct virtio_net_hdr *header)
{
	struct packet packet;
	size_t shortest, field;

	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->protocol = PACKET_TCP;
		shortest = PACKET_TCP_HEADER;
		field = TCP_CHECKSUM;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		s->protocol = PACKET_UDP;
		shortest = PACKET_UDP_HEADER;
		field = UDP_CHECKSUM;
		break;
	default:
		return -EINVAL;
	}
	s->transport = header->csum_start;
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || header->csum_offset != field ||
		header->gso_size == 0 || packet_parse(s->packet, s->length, &packet) < 0 ||
		packet.length != s->length || s->transport < packet.header ||
		s->transport + shortest > s->length)
		return -EINVAL;
	s->version = packet.version;
	s->header = s->transport + transport_header(s);
	if (s->header < s->transport + shortest || s->header > s->length ||
		s->header > sizeof s->template)
		return -EINVAL;
	s->step = header->gso_size;
	memcpy(s->template, s->packet, s->header);
	return 0;
}

int segmenter_begin(
	struct segmenter *s, const struct virtio_net_hdr *header, uint8_t *packet, size_t length)
{
	s->packet = packet;
	s->length = length;
	s->header = 0;
	s->step = length;
	s->done = 0;
	s->count = 0;
	s->pad = 0;
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return begin_cutting(s, header);
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return finish_checksum(header, packet, length);
	return 0;
}

size_t segmenter_count(const struct segmenter *s)
{
	size_t payload = s->length - s->header;

	return payload <= s->step ? 1 : (payload + s->step - 1) / s->step;
}

/* Writes the headers of a segment: RFC 9293 and RFC 768 as to their fields, and as the kernel does
 * when it segments by itself. */
static void write_headers(struct segmenter *s, uint8_t *data, size_t length, bool last)
{
	uint8_t *transport = data + s->transport;
	size_t transport_length = length - s->transport;
	struct packet packet;

	memcpy(data, s->template, s->header);
	if (s->version == 4) {
		uint16_t check;

		packet_set16(data + IPV4_TOTAL_LENGTH, (uint16_t)length);
		packet_set16(data + IPV4_ID, (uint16_t)(packet_get16(data + IPV4_ID) + s->count));
		packet_set16(data + IPV4_CHECKSUM, 0);
		check = checksum_field(data, (data[0] & 0xfu) * 4);
		memcpy(data + IPV4_CHECKSUM, &check, sizeof check);
	} else {
		packet_set16(data + IPV6_PAYLOAD_LENGTH, (uint16_t)(length - PACKET_IPV6_HEADER));
	}
	if (s->protocol == PACKET_TCP) {
		packet_set32(transport + TCP_SEQUENCE,
			packet_get32(transport + TCP_SEQUENCE) + (uint32_t)s->done);
		if (!last)
			transport[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (s->count > 0)
			transport[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	} else {
		packet_set16(transport + UDP_LENGTH, (uint16_t)transport_length);
	}
	packet_parse(data, length, &packet);
	{
		size_t field = s->protocol == PACKET_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
		uint64_t sum = packet_pseudo_sum(&packet, s->protocol, transport_length);

		packet_set16(transport + field, 0);
		store_checksum(transport + field,
			sum + checksum_add(0, transport, transport_length), s->protocol);
	}
}

bool segmenter_next(struct segmenter *s, struct segment *segment)
{
	size_t left = s->length - s->header - s->done;
	size_t payload = left < s->step ? left : s->step;

	if (s->count > 0 && left == 0)
		return false;
	if (s->pad > 0) {
		memcpy(s->packet + s->header + s->done, s->saved, s->pad);
		s->pad = 0;
	}
	segment->data = s->packet + s->done;
	segment->length = s->header + payload;
	if (s->header > 0)
		write_headers(s, segment->data, segment->length, payload == left);
	s->done += payload;
	s->count++;
	return true;
}

void segmenter_pad(struct segmenter *s, const struct segment *segment, size_t n)
{
	uint8_t *end = segment->data + segment->length;

	s->pad = (uint8_t)n;
	memcpy(s->saved, end, n);
	memset(end, 0, n);
}
