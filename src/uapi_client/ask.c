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
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret_text.h"
#include "uapi_client/connection.h"

enum {
	/* Nor may one that drips: what changes something has as long in all as one may be silent,
	 * one that tells of peers more. */
	DUMP_TIME_MS = 10000,
	PART_SIZE = 65536,
	SHORT_PART_SIZE = 1024, /* of an answer of which only the errno counts */
	ANSWER_MAX = 256 << 20,
};

/* An answer on its way. */
struct receiving {
	struct secret_text text;
	size_t part_size; /* room for so much at a time */
};

static const char end[] = "\n\n";

/* unix(7), SO_PEERCRED: of who called listen(). */
int uapi_client_pid(const char *name)
{
	auto_close int fd = uapi_client_connect(name);
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (fd < 0)
		return fd;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : (int)peer.pid;
}

/* Returns 0 whether or not something came, or -errno; -ENODEV at the end. */
static int receive_part(int fd, uint64_t end_ms, struct receiving *receiving)
{
	struct secret_text *answer = &receiving->text;
	int error = answer->used < ANSWER_MAX ? secret_text_reserve(answer, receiving->part_size)
					      : -ENOMEM;
	int n;

	if (error == 0)
		error = uapi_client_await(fd, POLLIN, end_ms);
	if (error < 0)
		return error;
	n = uapi_client_receive(fd, answer->s + answer->used, answer->size - answer->used);
	if (n < 0)
		return n;
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
static int receive_all(int fd, uint64_t end_ms, struct receiving *receiving)
{
	int error = 0;

	while (error == 0 && !is_whole(&receiving->text))
		error = receive_part(fd, end_ms, receiving);
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
	const uint64_t end_ms =
		clock_now_ms(&system_clock) + (answer ? DUMP_TIME_MS : UAPI_CLIENT_SILENCE_MS);
	auto_close int fd = uapi_client_connect(name);
	struct receiving receiving = {.part_size = answer ? PART_SIZE : SHORT_PART_SIZE};
	int error = fd < 0 ? fd : uapi_client_send(fd, request, end_ms);

	if (error == 0)
		error = receive_all(fd, end_ms, &receiving);
	if (error == 0)
		error = cut_errno(receiving.text.s);
	if (error == 0 && answer) {
		*answer = receiving.text.s;
		return 0;
	}
	secret_text_wipe(&receiving.text);
	return error;
}

void uapi_client_close(struct uapi_client_connection *connection)
{
	if (connection->is_open)
		close(connection->fd);
	connection->is_open = false;
}

/* Nothing is there to be read: neither its end, as of a device that has ended, nor what nobody has
 * asked for, which would be taken for the next answer. */
static bool is_good(const struct uapi_client_connection *connection)
{
	char byte;

	return connection->is_open &&
	       recv(connection->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

static int open_connection(struct uapi_client_connection *connection, const char *name)
{
	int fd;

	if (is_good(connection))
		return 0;
	uapi_client_close(connection);
	fd = uapi_client_connect(name);
	if (fd < 0)
		return fd;
	*connection = (struct uapi_client_connection){.is_open = true, .fd = fd};
	return 0;
}

int uapi_client_ask_on(
	struct uapi_client_connection *connection, const char *name, const char *request)
{
	const uint64_t end_ms = clock_now_ms(&system_clock) + UAPI_CLIENT_SILENCE_MS;
	struct receiving receiving = {.part_size = SHORT_PART_SIZE};
	int error = open_connection(connection, name);

	if (error == 0)
		error = uapi_client_send(connection->fd, request, end_ms);
	if (error == 0)
		error = receive_all(connection->fd, end_ms, &receiving);
	if (error < 0)
		uapi_client_close(connection); /* the answer may still come */
	else
		error = cut_errno(receiving.text.s);
	secret_text_wipe(&receiving.text);
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
