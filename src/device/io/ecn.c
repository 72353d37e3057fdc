/* The ECN field of inner packets, read and changed. Runs in every worker. */
#include "device/io/ecn.h"

#include <string.h>

#include "base/checksum.h"
#include "device/io/headers.h"

enum { IPV6_SHIFT = 4 };

static bool is_ipv4(const uint8_t *packet)
{
	return packet[0] >> 4 == 4;
}

uint8_t ecn_get(const uint8_t *packet)
{
	return (is_ipv4(packet) ? packet[IPV4_TOS] : packet[IPV6_CLASS] >> IPV6_SHIFT) & ECN_MASK;
}

/* RFC 1624, equation 3, on the first word of the header. */
static void set_ipv4(uint8_t *packet, uint8_t ecn)
{
	uint16_t before, after, check;

	memcpy(&before, packet, sizeof before);
	packet[IPV4_TOS] = (uint8_t)((packet[IPV4_TOS] & ~ECN_MASK) | ecn);
	memcpy(&after, packet, sizeof after);
	memcpy(&check, packet + IPV4_CHECKSUM, sizeof check);
	check = (uint16_t)~checksum_fold((uint64_t)(uint16_t)~check + (uint16_t)~before + after);
	memcpy(packet + IPV4_CHECKSUM, &check, sizeof check);
}

static void set(uint8_t *packet, uint8_t ecn)
{
	if (is_ipv4(packet))
		set_ipv4(packet, ecn);
	else
		packet[IPV6_CLASS] = (uint8_t)((packet[IPV6_CLASS] & ~(ECN_MASK << IPV6_SHIFT)) |
					       ecn << IPV6_SHIFT);
}

bool ecn_decapsulate(uint8_t *packet, uint8_t outer)
{
	uint8_t inner = ecn_get(packet);

	outer &= ECN_MASK;
	if (inner == ECN_NONE)
		return outer != ECN_CE;
	if (outer == ECN_CE || (outer == ECN_ECT1 && inner == ECN_ECT0))
		set(packet, outer);
	return true;
}
