#include "flows.h"

#include <stdlib.h>
#include <string.h>

#include "device/io/gso.h"
#include "device/io/packet.h"

enum {
	HOP_BY_HOP = 0, /* IPv6 next headers */
	TTL = 61,
	DF = 0x4000,
};

uint16_t naive_sum(uint32_t sum, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

size_t flow_transport(const struct flow *flow)
{
	return (flow->version == 4 ? PACKET_IPV4_HEADER : PACKET_IPV6_HEADER) + flow->ip_options;
}

static uint32_t pseudo(const uint8_t *packet, uint8_t protocol, size_t length)
{
	bool v4 = packet[0] >> 4 == 4;

	return naive_sum((uint32_t)(protocol + length), packet + (v4 ? 12 : 8), v4 ? 8 : 32);
}

bool checksums_are_good(const uint8_t *packet, size_t length)
{
	bool v4 = packet[0] >> 4 == 4;
	size_t transport = v4 ? (packet[0] & 15u) * 4u : PACKET_IPV6_HEADER;
	uint8_t protocol = packet[v4 ? 9 : 6];

	if (v4 && naive_sum(0, packet, transport) != 0xffff)
		return false;
	if (!v4 && protocol == HOP_BY_HOP) {
		protocol = packet[transport];
		transport += (packet[transport + 1] + 1u) * 8u;
	}
	return naive_sum(pseudo(packet, protocol, length - transport), packet + transport,
		       length - transport) == 0xffff;
}

static void put_ip(const struct flow *flow, uint8_t *packet, size_t length)
{
	uint8_t protocol = flow->udp ? PACKET_UDP : PACKET_TCP;

	if (flow->version == 4) {
		packet[0] = (uint8_t)(0x40 | (PACKET_IPV4_HEADER + flow->ip_options) / 4);
		packet_set16(packet + 2, (uint16_t)length);
		packet_set16(packet + 4, flow->id);
		packet_set16(packet + 6, flow->dont_fragment ? DF : 0);
		packet[8] = TTL;
		packet[9] = protocol;
		packet_set32(packet + 12, 0x0a000000u | flow->address);
		packet_set32(packet + 16, 0x0a000100u);
		memset(packet + PACKET_IPV4_HEADER, 1, flow->ip_options); /* "no operation" */
		packet_set16(packet + 10,
			(uint16_t)~naive_sum(0, packet, PACKET_IPV4_HEADER + flow->ip_options));
		return;
	}
	packet[0] = 0x60;
	packet_set16(packet + 4, (uint16_t)(length - PACKET_IPV6_HEADER));
	packet[6] = flow->ip_options ? HOP_BY_HOP : protocol;
	packet[7] = TTL;
	packet[8] = 0xfd;
	packet[23] = flow->address;
	packet[24] = 0xfd;
	if (flow->ip_options) {
		packet[PACKET_IPV6_HEADER] = protocol;
		packet[PACKET_IPV6_HEADER + 1] = (uint8_t)(flow->ip_options / 8 - 1);
	}
}

size_t flow_super_packet(struct flow *flow, size_t payload, size_t step, uint8_t tcp_flags,
	struct virtio_net_hdr *header, uint8_t *packet)
{
	size_t transport = flow_transport(flow);
	size_t headers =
		transport + (flow->udp ? PACKET_UDP_HEADER : PACKET_TCP_HEADER + flow->tcp_options);
	size_t length = headers + payload,
	       segments = payload <= step ? 1 : (payload + step - 1) / step;
	uint8_t *t = packet + transport;

	memset(packet, 0, headers);
	for (size_t i = headers; i < length; i++)
		packet[i] = (uint8_t)random();
	put_ip(flow, packet, length);
	packet_set16(t, 1000);
	packet_set16(t + 2, 2000);
	*header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr_len = (uint16_t)headers,
		.csum_start = (uint16_t)transport,
		.csum_offset = flow->udp ? 6 : 16};
	if (flow->udp) {
		packet_set16(t + 4, (uint16_t)(length - transport));
		packet_set16(
			t + 6, naive_sum(pseudo(packet, PACKET_UDP, length - transport), t, 0));
	} else {
		packet_set32(t + 4, flow->sequence);
		packet_set32(t + 8, 77);
		t[12] = (uint8_t)((PACKET_TCP_HEADER + flow->tcp_options) / 4 << 4);
		t[13] = tcp_flags;
		packet_set16(t + 14, 5000);
		memset(t + PACKET_TCP_HEADER, 1, flow->tcp_options);
		packet_set16(
			t + 16, naive_sum(pseudo(packet, PACKET_TCP, length - transport), t, 0));
	}
	if (segments > 1) {
		header->gso_size = (uint16_t)step;
		header->gso_type = flow->udp            ? VIRTIO_NET_HDR_GSO_UDP_L4
				   : flow->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
							: VIRTIO_NET_HDR_GSO_TCPV6;
	}
	flow->id = (uint16_t)(flow->id + segments);
	flow->sequence += (uint32_t)payload;
	return length;
}
