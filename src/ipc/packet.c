/* Sends and receives packets that carry no descriptor, and checks whether one that came was to.
 * Runs at both ends of every such socket. */
#include "ipc/packet.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor.h"

int packet_send(int fd, const void *packet, size_t length)
{
	return descriptor_send(fd, packet, length, -1, MSG_DONTWAIT);
}

/* The plain call, which every confined process may use. */
int packet_receive(int fd, void *buffer, size_t size)
{
	ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return n == 0 ? -EPIPE : (int)n;
}

int packet_keep_descriptor(int error, bool is_due, int *descriptor)
{
	if (error == 0 && is_due == (*descriptor >= 0))
		return 0;
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
	return error < 0 ? error : -EPROTO;
}

bool packet_is_hung_up(int error)
{
	return error == -EPIPE || error == -ECONNRESET;
}

bool packet_hangs_up_within(int fd, int ms)
{
	struct pollfd end = {.fd = fd};

	return poll(&end, 1, ms) > 0;
}
