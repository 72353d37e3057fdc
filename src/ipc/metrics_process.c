/* Checks, sends and receives the messages around the process that serves metrics. Runs in it and in
 * the broker. */
#include "ipc/metrics_process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/descriptor.h"
#include "ipc/packet.h"

static int decode(const void *packet, size_t length, struct metrics_message *message)
{
	if (length != sizeof *message)
		return -EPROTO;
	memcpy(message, packet, sizeof *message);
	return message->version == METRICS_VERSION && message->kind != 0 &&
			       message->kind < METRICS_KIND_END &&
			       message->length <= METRICS_REPORT_MAX_SIZE
		       ? 0
		       : -EPROTO;
}

int metrics_send(int fd, const struct metrics_message *message, int descriptor)
{
	return descriptor_send(fd, message, sizeof *message, descriptor, MSG_DONTWAIT);
}

int metrics_receive(int fd, struct metrics_message *message, int *passed_on)
{
	unsigned char buffer[sizeof *message + 1];
	int n = descriptor_receive(fd, buffer, sizeof buffer, passed_on, MSG_DONTWAIT);
	int error = n < 0 ? n : decode(buffer, (size_t)n, message);

	return packet_keep_descriptor(
		error, error == 0 && message->kind == METRICS_REPORT, passed_on);
}
