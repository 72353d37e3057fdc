/* Finds our own transport messages among the packets that are to be sealed. Runs in every worker,
 * for every packet: what is no UDP costs one comparison. */
#include "device/wireguard/loop.h"

#include <stddef.h>

#include "device/io/headers.h"
#include "device/wireguard/messages.h"

enum {
	IPV6_FRAGMENT_HEADER = 44, /* the protocol number; RFC 8200, 4.5 */
	IPV6_FRAGMENT_LENGTH = 8,
	IPV6_FRAGMENT_OFFSET = 2,
	OFFSET4 = 0x1fff,
	OFFSET6 = 0xfff8,
};

/* Where the UDP header is; 0: there is none. */
static size_t find_udp4(const uint8_t *data, const struct packet *packet)
{
	if (data[IPV4_PROTOCOL] != PACKET_UDP || packet_get16(data + IPV4_FRAGMENT) & OFFSET4)
		return 0;
	return packet->header;
}

static size_t find_udp6(const uint8_t *data, const struct packet *packet)
{
	const uint8_t *fragment = data + PACKET_IPV6_HEADER;

	if (data[IPV6_NEXT_HEADER] == PACKET_UDP)
		return packet->header;
	if (data[IPV6_NEXT_HEADER] != IPV6_FRAGMENT_HEADER ||
		packet->length < PACKET_IPV6_HEADER + IPV6_FRAGMENT_LENGTH ||
		fragment[0] != PACKET_UDP ||
		packet_get16(fragment + IPV6_FRAGMENT_OFFSET) & OFFSET6)
		return 0;
	return PACKET_IPV6_HEADER + IPV6_FRAGMENT_LENGTH;
}

bool loop_is_own_message(const uint8_t *data, const struct packet *packet, uint32_t remote_index)
{
	size_t udp = packet->version == 4 ? find_udp4(data, packet) : find_udp6(data, packet);
	const struct message_transport *message;

	if (udp == 0 || packet->length < udp + PACKET_UDP_HEADER + sizeof *message)
		return false;
	message = (const struct message_transport *)(const void *)(data + udp + PACKET_UDP_HEADER);
	return message->type == MESSAGE_TRANSPORT && le32_get(message->receiver) == remote_index;
}
