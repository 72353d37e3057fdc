/* Checks, sends and receives the messages around the holder of listening sockets. Runs in it and in
 * the broker. */
#include "ipc/holding.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/descriptor.h"
#include "ipc/packet.h"

static bool has_descriptor(const struct holding_message *message)
{
	return message->kind == HOLDING_HOLD || message->kind == HOLDING_TAKEN;
}

static int decode(const void *packet, size_t length, struct holding_message *message)
{
	if (length != sizeof *message)
		return -EPROTO;
	memcpy(message, packet, sizeof *message);
	return message->version == HOLDING_VERSION && message->kind != 0 &&
			       message->kind < HOLDING_KIND_END
		       ? 0
		       : -EPROTO;
}

int holding_send(int fd, const struct holding_message *message, int descriptor)
{
	return descriptor_send(fd, message, sizeof *message, descriptor, MSG_DONTWAIT);
}

int holding_receive(int fd, struct holding_message *message, int *passed_on)
{
	unsigned char buffer[sizeof *message + 1];
	int n = descriptor_receive(fd, buffer, sizeof buffer, passed_on, MSG_DONTWAIT);
	int error = n < 0 ? n : decode(buffer, (size_t)n, message);

	return packet_keep_descriptor(error, error == 0 && has_descriptor(message), passed_on);
}
