/*
 * One question to a device over its control socket, and its answer. Runs in the server's broker and
 * in the client; blocks, for a limited time.
 */
#include "uapi_client/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/cleanup.h"

enum {
	/* A device that hangs must not hang the server; and clients wait for 5 s. */
	TIMEOUT_S = 3,
	PART_SIZE = 65536,
	ANSWER_MAX = 256 << 20,
};

static const char end[] = "\n\n";

/* Why a device on an open connection does not go on: it has ended, or its time is up. */
static int exchange_error(int error)
{
	if (error == EPIPE || error == ECONNRESET)
		return -ENODEV;
	return error == EAGAIN ? -ETIMEDOUT : -error;
}

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof address.sun_path, "/run/wireguard/%s.sock", name);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
		connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	/* EAGAIN: it accepts none, and its queue is full. */
	error = errno == ENOENT || errno == ECONNREFUSED ? -ENODEV
		: errno == EAGAIN                        ? -ETIMEDOUT
							 : -errno;
	close(fd);
	return error;
}

static int send_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return exchange_error(errno);
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* Reads up to and with the empty line. */
static int receive_all(int fd, char **answer)
{
	auto_free char *text = NULL;
	size_t used = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (size - used < PART_SIZE) {
			char *grown =
				size < ANSWER_MAX ? realloc(text, 2 * size + PART_SIZE + 1) : NULL;

			if (!grown)
				return -ENOMEM;
			text = grown;
			size = 2 * size + PART_SIZE;
		}
		n = recv(fd, text + used, size - used, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return exchange_error(errno);
		if (n == 0)
			return -ENODEV;
		used += (size_t)n;
		text[used] = '\0';
		if (used >= strlen(end) && strcmp(text + used - strlen(end), end) == 0)
			break;
	}
	*answer = text;
	text = NULL;
	return 0;
}

/* Cuts the line "errno=N" off the end of an answer. */
static int cut_errno(char *answer)
{
	static const char key[] = "errno=";
	char *line = answer;

	for (char *p = answer; (p = strstr(p, key)); p++)
		line = p;
	if (strncmp(line, key, strlen(key)) != 0)
		return -EPROTO;
	*line = '\0';
	return -atoi(line + strlen(key));
}

int uapi_client_ask(const char *name, const char *request, char **answer)
{
	auto_close int fd = connect_to(name);
	auto_free char *text = NULL;
	int error = fd < 0 ? fd : send_all(fd, request);

	if (error == 0)
		error = receive_all(fd, &text);
	if (error == 0)
		error = cut_errno(text);
	if (error == 0 && answer) {
		*answer = text;
		text = NULL;
	}
	return error;
}

bool uapi_client_next_line(char **answer, char **key, char **value)
{
	char *line = strsep(answer, "\n");

	if (!line || !(*value = strchr(line, '=')))
		return false;
	*(*value)++ = '\0';
	*key = line;
	return true;
}
