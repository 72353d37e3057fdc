/* Looks at first messages in their sockets. Runs in the gate's one thread. */
#include "gate/greeting.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "gate/client_hello.h"

/* How many bytes there must be before the socket is readable: socket(7). */
static int set_low_water(int fd, size_t n)
{
	const int value = (int)n;

	return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value) < 0 ? -errno : 0;
}

int greeting_look(int fd, size_t *seen)
{
	unsigned char data[CLIENT_HELLO_MAX];
	ssize_t n = recv(fd, data, sizeof data, MSG_PEEK);
	const bool is_first = *seen == 0;
	size_t needed = 0;
	int error;

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	/* Readable without anything new: that is the end. */
	if ((size_t)n == *seen)
		return -ECONNRESET;
	*seen = (size_t)n;
	error = client_hello_check(data, (size_t)n, &needed);
	if (error == 0)
		return is_first ? 0 : set_low_water(fd, 1);
	if (error == -EAGAIN && set_low_water(fd, needed) < 0)
		return -EIO;
	return error;
}
