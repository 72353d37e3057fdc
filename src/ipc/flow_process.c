/* Checks, sends and receives the messages around the process that writes the flow log. Runs in it
 * and in the broker. */
#include "ipc/flow_process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/descriptor.h"

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

int flows_send(int fd, const struct flows_message *message, int descriptor)
{
	return descriptor_send(
		fd, message, sizeof *message, descriptor, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int flows_receive(int fd, struct flows_message *message, int *passed_on)
{
	unsigned char buffer[sizeof *message + 1];
	auto_close int descriptor = -1;
	int n = descriptor_receive(fd, buffer, sizeof buffer, &descriptor, MSG_DONTWAIT);

	*passed_on = -1;
	if (n < 0)
		return n;
	if ((size_t)n != sizeof *message)
		return -EPROTO;
	memcpy(message, buffer, sizeof *message);
	if (!is_valid(message) || (message->kind == FLOWS_FILE) != (descriptor >= 0))
		return -EPROTO;
	*passed_on = descriptor;
	descriptor = -1;
	return 0;
}
