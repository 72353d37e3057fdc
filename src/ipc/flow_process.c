/* Checks, sends and receives the messages around the process that writes the flow log. Runs in it
 * and in the broker. */
#include "ipc/flow_process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/descriptor.h"
#include "ipc/packet.h"

_Static_assert(sizeof(struct flows_message) == 10 * 4 + CLIENT_NAME_SIZE + 4 * 8, "no padding");

enum { BITS_OF_ADDRESS = 32 };

static bool is_valid(const struct flows_message *message)
{
	if (message->version != FLOWS_VERSION || message->kind == 0 ||
		message->kind >= FLOWS_KIND_END || message->block_length > BITS_OF_ADDRESS)
		return false;
	if (!client_name_is_valid(&message->name) || message->client >= FLOWS_CLIENT_END)
		return false;
	return (message->kind == FLOWS_BEGIN) == (message->client != 0);
}

static int decode(const void *packet, size_t length, struct flows_message *message)
{
	if (length != sizeof *message)
		return -EPROTO;
	memcpy(message, packet, sizeof *message);
	return is_valid(message) ? 0 : -EPROTO;
}

int flows_send(int fd, const struct flows_message *message, int descriptor)
{
	return descriptor_send(fd, message, sizeof *message, descriptor, MSG_DONTWAIT);
}

int flows_receive(int fd, struct flows_message *message, int *passed_on)
{
	unsigned char buffer[sizeof *message + 1];
	int n = descriptor_receive(fd, buffer, sizeof buffer, passed_on, MSG_DONTWAIT);
	int error = n < 0 ? n : decode(buffer, (size_t)n, message);

	return packet_keep_descriptor(error, error == 0 && message->kind == FLOWS_FILE, passed_on);
}
