/* The answer to a packet that is too long. Runs in every worker that sends IPIP. */
#include "device/io/icmp.h"

#include <netinet/in.h>
#include <string.h>

#include "base/checksum.h"
#include "device/io/headers.h"
#include "device/io/packet.h"

enum {
	ICMP_CHECKSUM = 2, /* offsets in the ICMP header */
	ICMP_MTU = 6,

	ICMP_HEADER = 8,
	HEADERS = PACKET_IPV4_HEADER + ICMP_HEADER,
	QUOTE = 8, /* bytes behind the IP header */
	UNREACHABLE = 3, /* type */
	FRAGMENTATION_NEEDED = 4, /* its code */
	ANSWER_TTL = 64,
};

size_t icmp_too_long(
	const uint8_t *packet, size_t length, uint16_t mtu, uint8_t answer[ICMP_ANSWER_MAX])
{
	size_t quoted = (packet[0] & 15u) * 4u + QUOTE;
	uint8_t *icmp = answer + PACKET_IPV4_HEADER;
	uint16_t sum;

	if (quoted > length)
		quoted = length;
	memset(answer, 0, HEADERS);
	answer[0] = IPV4_PLAIN;
	packet_set16(answer + IPV4_TOTAL_LENGTH, (uint16_t)(HEADERS + quoted));
	answer[IPV4_TTL] = ANSWER_TTL;
	answer[IPV4_PROTOCOL] = IPPROTO_ICMP;
	/* from where the packet was to go: the one address that surely is on the other side */
	memcpy(answer + IPV4_SOURCE, packet + IPV4_DESTINATION, sizeof(struct in_addr));
	memcpy(answer + IPV4_DESTINATION, packet + IPV4_SOURCE, sizeof(struct in_addr));
	sum = checksum_field(answer, PACKET_IPV4_HEADER);
	memcpy(answer + IPV4_CHECKSUM, &sum, sizeof sum);
	icmp[0] = UNREACHABLE;
	icmp[1] = FRAGMENTATION_NEEDED;
	packet_set16(icmp + ICMP_MTU, mtu);
	memcpy(icmp + ICMP_HEADER, packet, quoted);
	sum = (uint16_t)~checksum_fold(checksum_add(0, icmp, ICMP_HEADER + quoted));
	memcpy(icmp + ICMP_CHECKSUM, &sum, sizeof sum);
	return HEADERS + quoted;
}
