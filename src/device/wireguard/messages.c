/* Tells the messages apart by type and length. Runs in every worker. */
#include "device/wireguard/messages.h"

int messages_type(const uint8_t *datagram, size_t length)
{
	if (length < 4 || datagram[1] || datagram[2] || datagram[3])
		return 0;
	switch (datagram[0]) {
	case MESSAGE_INITIATION:
		return length == sizeof(struct message_initiation) ? MESSAGE_INITIATION : 0;
	case MESSAGE_RESPONSE:
		return length == sizeof(struct message_response) ? MESSAGE_RESPONSE : 0;
	case MESSAGE_COOKIE:
		return length == sizeof(struct message_cookie) ? MESSAGE_COOKIE : 0;
	case MESSAGE_TRANSPORT:
		/* Not a multiple of 16 is allowed: padding stops at the MTU, and only the sender
		 * knows it. */
		return length >= TRANSPORT_MIN_SIZE ? MESSAGE_TRANSPORT : 0;
	}
	return 0;
}
