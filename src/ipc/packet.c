/* Sends and receives packets that carry no descriptor. Runs at both ends of every such socket. */
#include "ipc/packet.h"

#include <errno.h>
#include <sys/socket.h>

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

bool packet_is_hung_up(int error)
{
	return error == -EPIPE || error == -ECONNRESET;
}
