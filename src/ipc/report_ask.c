/* Asks the server for a report, over its control socket. Runs in the processes of `vprox show` and
 * `vprox check`, which wait for the answer. */
#include "ipc/report_ask.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/unix_address.h"
#include "ipc/report.h"

enum {
	TIMEOUT_S = 20, /* the server drops a connection after 10 s, others may be before us */
	FIRST_SIZE = 64 * 1024,
	MAX_SIZE = 1 << 30,
};

static int connect_to(const char *path)
{
	struct sockaddr_un address;
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	int fd, error = unix_address(path, &address);

	if (error < 0)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
		connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	error = errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return error;
}

static int ask(int fd, enum report_extent extent)
{
	const struct report_request request = {.version = REPORT_VERSION, .extent = extent};
	ssize_t n = send(fd, &request, sizeof request, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ENODATA : -errno;
	return n == sizeof request ? 0 : -EPROTO;
}

/* Reads to the end of the stream. *data is NULL and *length 0 before. */
static int receive(int fd, char **data, size_t *length)
{
	size_t size = 0;

	for (;;) {
		ssize_t n;

		if (*length == size) {
			size = size ? 2 * size : FIRST_SIZE;
			char *grown = size <= MAX_SIZE ? realloc(*data, size) : NULL;

			if (!grown)
				return -ENOMEM;
			*data = grown;
		}
		n = recv(fd, *data + *length, size - *length, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN       ? -ETIMEDOUT
			       : errno == ECONNRESET ? -ENODATA
						     : -errno;
		if (n == 0)
			return *length > 0 ? 0 : -ENODATA;
		*length += (size_t)n;
	}
}

int report_ask(const char *path, enum report_extent extent, struct report *report)
{
	auto_close int fd = connect_to(path);
	auto_free char *data = NULL;
	size_t length = 0;
	int error = fd < 0 ? fd : ask(fd, extent);

	if (error == 0)
		error = receive(fd, &data, &length);
	return error < 0 ? error : report_decode(data, length, report);
}
