/* Asks the server for a report, over its control socket. Runs in the processes of `vprox show` and
 * `vprox check`, which wait for the answer. */
#include "ipc/report_ask.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cleanup.h"
#include "base/unix_address.h"
#include "ipc/disconnecting.h"
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

static int send_all(int fd, const void *data, size_t length)
{
	ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ENODATA : -errno;
	return n == (ssize_t)length ? 0 : -EPROTO;
}

static int ask(int fd, enum report_extent extent)
{
	const struct report_request request = {.version = REPORT_VERSION, .extent = extent};

	return send_all(fd, &request, sizeof request);
}

static int receive_error(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : errno == ECONNRESET ? -ENODATA : -errno;
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
			return receive_error();
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

/* One of another release says so in the first word, whatever it answers. */
static int receive_state(int fd, struct disconnect_state *state)
{
	ssize_t n;

	do
		n = recv(fd, state, sizeof *state, MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return receive_error();
	if (n == 0)
		return -ENODATA;
	if (n < (ssize_t)sizeof *state)
		return -EPROTO;
	return state->version == REPORT_VERSION ? 0 : -EPROTONOSUPPORT;
}

int disconnect_ask(
	const char *path, const struct disconnect_order *order, struct disconnect_state *state)
{
	auto_close int fd = connect_to(path);
	int error = fd < 0 ? fd : ask(fd, REPORT_DISCONNECT);

	if (error == 0)
		error = send_all(fd, order, sizeof *order);
	*state = (struct disconnect_state){0};
	while (error == 0 && !state->is_done)
		error = receive_state(fd, state);
	return error;
}
