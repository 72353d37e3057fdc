/* Reads the IP header of packets that nobody has checked before. Runs in every worker. */
#include "device/io/packet.h"

#include <errno.h>
#include <arpa/inet.h>

#include "base/checksum.h"
#include "device/io/headers.h"

static int parse_ipv4(const uint8_t *data, size_t length, struct packet *packet)
{
	if (length < PACKET_IPV4_HEADER)
		return -EINVAL;
	packet->version = 4;
	packet->header = (data[0] & 0xfu) * 4;
	packet->length = packet_get16(data + IPV4_TOTAL_LENGTH);
	packet->source = data + IPV4_SOURCE;
	packet->destination = data + IPV4_DESTINATION;
	if (packet->header < PACKET_IPV4_HEADER || packet->header > packet->length ||
		packet->length > length)
		return -EINVAL;
	return 0;
}

static int parse_ipv6(const uint8_t *data, size_t length, struct packet *packet)
{
	if (length < PACKET_IPV6_HEADER)
		return -EINVAL;
	packet->version = 6;
	packet->header = PACKET_IPV6_HEADER;
	packet->length = PACKET_IPV6_HEADER + (size_t)packet_get16(data + IPV6_PAYLOAD_LENGTH);
	packet->source = data + IPV6_SOURCE;
	packet->destination = data + IPV6_DESTINATION;
	return packet->length > length ? -EINVAL : 0;
}

int packet_parse(const uint8_t *data, size_t length, struct packet *packet)
{
	switch (length > 0 ? data[0] >> 4 : 0) {
	case 4:
		return parse_ipv4(data, length, packet);
	case 6:
		return parse_ipv6(data, length, packet);
	default:
		return -EINVAL;
	}
}

uint64_t packet_pseudo_sum(const struct packet *packet, uint8_t protocol, size_t length)
{
	/* source and destination are neighbours in both headers */
	uint64_t sum = checksum_add(0, packet->source, packet->version == 4 ? 8 : 32);

	return sum + htons(protocol) + htonl((uint32_t)length);
}
