/*
 * Connecting to a device over its control socket, and moving bytes; waits for a limited time. Runs
 * in the server's broker and in the client.
 */
#include "uapi_client/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

int uapi_client_connect(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = timeval_from_ms(UAPI_CLIENT_SILENCE_MS);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof address.sun_path, "/run/wireguard/%s.sock", name);
	/* For connect() to one that does not accept; the rest waits by await(). */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
		connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	/* EAGAIN: it accepts none, and its queue is full. */
	error = errno == ENOENT || errno == ECONNREFUSED ? -ENODEV
		: errno == EAGAIN                        ? -ETIMEDOUT
							 : -errno;
	close(fd);
	return error;
}

/* Until the socket is ready: a while, and not beyond the end of all, by the system's clock. Returns
 * 0, -ETIMEDOUT or another -errno. */
int uapi_client_await(int fd, short events, uint64_t end_ms)
{
	struct pollfd polled = {.fd = fd, .events = events};
	uint64_t now = clock_now_ms(&system_clock);
	uint64_t until =
		now + UAPI_CLIENT_SILENCE_MS < end_ms ? now + UAPI_CLIENT_SILENCE_MS : end_ms;
	int n;

	do {
		now = clock_now_ms(&system_clock);
		n = poll(&polled, 1, now < until ? (int)(until - now) : 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

/* Why a device on an open connection does not go on: it has ended. 0: it does, try again. */
static int socket_error(void)
{
	if (errno == EINTR || errno == EAGAIN)
		return 0;
	return errno == EPIPE || errno == ECONNRESET ? -ENODEV : -errno;
}

int uapi_client_send(int fd, const char *text, uint64_t end_ms)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);
		int error = n < 0 ? socket_error() : 0;

		if (n < 0 && error == 0)
			error = uapi_client_await(fd, POLLOUT, end_ms);
		if (error < 0)
			return error;
		if (n < 0)
			continue;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

int uapi_client_receive(int fd, char *buffer, size_t size)
{
	ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

	return n > 0 ? (int)n : n == 0 ? -ENODEV : socket_error();
}
