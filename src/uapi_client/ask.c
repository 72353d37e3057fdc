/*
 * One question to a device over its control socket, and its answer. Runs in the server's broker and
 * in the client; blocks, for a limited time.
 */
#include "uapi_client/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret_text.h"

enum {
	/* A device that hangs must not hang the server; and clients wait for 5 s. */
	SILENCE_MS = 3000,
	/* Nor one that drips: what changes something has as long in all, a dump of all peers more.
	 */
	DUMP_TIME_MS = 10000,
	PART_SIZE = 65536,
	ANSWER_MAX = 256 << 20,
};

static const char end[] = "\n\n";

static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = timeval_from_ms(SILENCE_MS);
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

/* unix(7), SO_PEERCRED: of who called listen(). */
int uapi_client_pid(const char *name)
{
	auto_close int fd = connect_to(name);
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (fd < 0)
		return fd;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : (int)peer.pid;
}

/* Until the socket is ready: a while, and not beyond the end of all, by the system's clock. Returns
 * 0, -ETIMEDOUT or another -errno. */
static int await(int fd, short events, uint64_t end_ms)
{
	struct pollfd polled = {.fd = fd, .events = events};
	uint64_t now = clock_now_ms(&system_clock);
	uint64_t until = now + SILENCE_MS < end_ms ? now + SILENCE_MS : end_ms;
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

static int send_all(int fd, const char *text, uint64_t end_ms)
{
	size_t left = strlen(text);

	while (left > 0) {
		int error = await(fd, POLLOUT, end_ms);
		ssize_t n = error < 0 ? 0 : send(fd, text, left, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			error = socket_error();
		if (error < 0)
			return error;
		if (n < 0)
			continue;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* Returns 0 whether or not something came, or -errno; -ENODEV at the end. */
static int receive_part(int fd, uint64_t end_ms, struct secret_text *answer)
{
	int error = answer->used < ANSWER_MAX ? secret_text_reserve(answer, PART_SIZE) : -ENOMEM;
	ssize_t n;

	if (error == 0)
		error = await(fd, POLLIN, end_ms);
	if (error < 0)
		return error;
	n = recv(fd, answer->s + answer->used, answer->size - answer->used, MSG_DONTWAIT);
	if (n <= 0)
		return n == 0 ? -ENODEV : socket_error();
	answer->used += (size_t)n;
	answer->s[answer->used] = '\0';
	return 0;
}

static bool is_whole(const struct secret_text *answer)
{
	return answer->used >= strlen(end) &&
	       strcmp(answer->s + answer->used - strlen(end), end) == 0;
}

/* Reads up to and with the empty line. */
static int receive_all(int fd, uint64_t end_ms, struct secret_text *answer)
{
	int error = 0;

	while (error == 0 && !is_whole(answer))
		error = receive_part(fd, end_ms, answer);
	return error;
}

/* Cuts the line "errno=-N" off the end of an answer. */
static int cut_errno(char *answer)
{
	static const char key[] = "errno=";
	char *line = answer;

	for (char *p = answer; (p = strstr(p, key)); p++)
		line = p;
	if (strncmp(line, key, strlen(key)) != 0)
		return -EPROTO;
	*line = '\0';
	/* negative, as wg(8) wants it; devices of earlier versions say it without the sign */
	return -abs(atoi(line + strlen(key)));
}

int uapi_client_ask(const char *name, const char *request, char **answer)
{
	const uint64_t end_ms = clock_now_ms(&system_clock) + (answer ? DUMP_TIME_MS : SILENCE_MS);
	auto_close int fd = connect_to(name);
	struct secret_text received = {0};
	int error = fd < 0 ? fd : send_all(fd, request, end_ms);

	if (error == 0)
		error = receive_all(fd, end_ms, &received);
	if (error == 0)
		error = cut_errno(received.s);
	if (error == 0 && answer) {
		*answer = received.s;
		return 0;
	}
	secret_text_wipe(&received);
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
