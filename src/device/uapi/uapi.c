/* The control socket: its connections, the lines of requests, and the answers. Runs in the control
 * thread. */
#include "device/uapi/uapi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "device/ipip/ipip.h"
#include "device/peers.h"
#include "device/uapi/uapi_get.h"
#include "device/uapi/uapi_set.h"

enum {
	CONNECTIONS_MAX = 64,
	BACKLOG = 16,
	FOLDER_MODE = 0755,
	SOCKET_MASK = 0077,
	WAIT_MS = 2000, /* for another device of the name to end */
	WAIT_STEP_MS = 5,
};
static const char folder[] = "/run/wireguard";

enum uapi_operation {
	OPERATION_NONE, /* the first line comes next */
	OPERATION_SET,
	OPERATION_GET,
	OPERATION_GET_IPIP,
	OPERATION_GET_DROPS,
	OPERATION_GET_PEER,
	OPERATION_GET_IPIP_PEER,
	OPERATION_UNKNOWN,
};

struct uapi_connection {
	struct uapi_connection *next;
	int fd;
	enum uapi_operation operation;
	int error; /* of the operation so far */
	struct uapi_set set;
	struct key peer; /* of get_peer */
	struct in_addr ipip_peer; /* of get_ipip_peer */
	size_t used; /* of line */
	char line[UAPI_LINE_MAX];
	char *answer; /* what is still to be written, or NULL */
	size_t answer_length, written;
};

struct uapi {
	struct device *device;
	int listener, epoll;
	unsigned int n;
	struct uapi_connection *connections;
};

/* Whether somebody listens at an address. */
static bool is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd < 0 ||
		     connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
		     errno != ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return alive;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(SOCKET_MASK);
	int error = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;

	umask(before);
	return error;
}

/* A device whose interface was deleted may need a moment to end. */
static int wait_and_bind(int fd, const struct sockaddr_un *address)
{
	static const struct timespec pause = {.tv_nsec = WAIT_STEP_MS * 1000000};
	int error = bind_private(fd, address);

	for (int ms = 0; error == -EADDRINUSE && ms < WAIT_MS; ms += WAIT_STEP_MS) {
		if (is_alive(address))
			nanosleep(&pause, NULL);
		else if (unlink(address->sun_path) < 0 && errno != ENOENT)
			return -errno;
		error = bind_private(fd, address);
	}
	return error;
}

int uapi_listen(const char *name, char *path, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error = file_make_folder(folder, FOLDER_MODE);

	if (error < 0)
		return error;
	if (snprintf(path, size, "%s/%s.sock", folder, name) >= (int)size ||
		strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = wait_and_bind(fd, &address);
	if (error == 0 && listen(fd, BACKLOG) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

struct uapi *uapi_new(struct device *device, int listener, int epoll)
{
	struct uapi *uapi = calloc(1, sizeof *uapi);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = uapi};

	if (!uapi)
		return NULL;
	uapi->device = device;
	uapi->listener = listener;
	uapi->epoll = epoll;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
		free(uapi);
		return NULL;
	}
	return uapi;
}

static void close_connection(struct uapi *uapi, struct uapi_connection *connection)
{
	struct uapi_connection **at = &uapi->connections;

	while (*at != connection)
		at = &(*at)->next;
	*at = connection->next;
	close(connection->fd);
	free(connection->answer);
	explicit_bzero(connection, sizeof *connection);
	free(connection);
	uapi->n--;
}

void uapi_free(struct uapi *uapi)
{
	if (!uapi)
		return;
	while (uapi->connections)
		close_connection(uapi, uapi->connections);
	close(uapi->listener);
	free(uapi);
}

static void accept_connection(struct uapi *uapi)
{
	int fd = accept4(uapi->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct uapi_connection *connection;
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0)
		return;
	connection = uapi->n < CONNECTIONS_MAX ? calloc(1, sizeof *connection) : NULL;
	event.data.ptr = connection;
	if (!connection || epoll_ctl(uapi->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(connection);
		close(fd);
		return;
	}
	connection->fd = fd;
	connection->next = uapi->connections;
	uapi->connections = connection;
	uapi->n++;
}

/* Writes what it can. Returns false if the connection is to be closed. */
static bool write_answer(struct uapi *uapi, struct uapi_connection *connection)
{
	struct epoll_event event = {.data.ptr = connection};
	ssize_t n = send(connection->fd, connection->answer + connection->written,
		connection->answer_length - connection->written, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0)
		connection->written += (size_t)n;
	if (connection->written == connection->answer_length) {
		explicit_bzero(connection->answer, connection->answer_length);
		free(connection->answer);
		connection->answer = NULL;
	}
	event.events = connection->answer ? EPOLLOUT : EPOLLIN;
	return epoll_ctl(uapi->epoll, EPOLL_CTL_MOD, connection->fd, &event) == 0;
}

static char *nothing(size_t *length)
{
	*length = 0;
	return calloc(1, 1);
}

static char *answer_peer(struct uapi *uapi, struct uapi_connection *connection, size_t *length)
{
	struct wg_peer *peer = device_find_peer(uapi->device, &connection->peer);

	if (peer)
		return uapi_get_peer(peer, length);
	connection->error = -ENOENT;
	return nothing(length);
}

static char *answer_ipip_peer(struct uapi *uapi, struct uapi_connection *connection, size_t *length)
{
	struct ipip_peer *peer = ipip_find_peer(&uapi->device->shared.ipip, connection->ipip_peer);

	if (peer)
		return uapi_get_ipip_peer(uapi->device, peer, length);
	connection->error = -ENOENT;
	return nothing(length);
}

static char *make_answer(struct uapi *uapi, struct uapi_connection *connection, size_t *length)
{
	switch (connection->operation) {
	case OPERATION_GET:
		return uapi_get(uapi->device, length);
	case OPERATION_GET_IPIP:
		return uapi_get_ipip(uapi->device, length);
	case OPERATION_GET_DROPS:
		return uapi_get_drops(uapi->device, length);
	case OPERATION_GET_PEER:
		return answer_peer(uapi, connection, length);
	case OPERATION_GET_IPIP_PEER:
		return answer_ipip_peer(uapi, connection, length);
	default:
		return nothing(length);
	}
}

/* The empty line that ends a request. */
static bool finish(struct uapi *uapi, struct uapi_connection *connection)
{
	char end[sizeof "errno=-2147483648\n\n"];
	size_t length, end_length;
	char *body = make_answer(uapi, connection, &length);

	if (!body)
		return false;
	end_length = (size_t)snprintf(end, sizeof end, "errno=%d\n\n", -connection->error);
	connection->answer = malloc(length + end_length);
	if (connection->answer) {
		memcpy(connection->answer, body, length);
		memcpy(connection->answer + length, end, end_length);
	}
	explicit_bzero(body, length);
	free(body);
	connection->answer_length = length + end_length;
	connection->written = 0;
	connection->operation = OPERATION_NONE;
	connection->error = 0;
	return connection->answer && write_answer(uapi, connection);
}

static void begin(struct uapi *uapi, struct uapi_connection *connection, const char *line)
{
	static const struct {
		const char *line;
		enum uapi_operation operation;
	} operations[] = {
		{"set=1", OPERATION_SET},
		{"get=1", OPERATION_GET},
		{"get_ipip=1", OPERATION_GET_IPIP},
		{"get_drops=1", OPERATION_GET_DROPS},
	};
	static const char get_peer[] = "get_peer=", get_ipip_peer[] = "get_ipip_peer=";

	connection->operation = OPERATION_UNKNOWN;
	connection->error = -EINVAL;
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (strcmp(line, operations[i].line) == 0) {
			connection->operation = operations[i].operation;
			connection->error = 0;
		}
	if (strncmp(line, get_peer, strlen(get_peer)) == 0 &&
		hex_parse_key(line + strlen(get_peer), &connection->peer) == 0) {
		connection->operation = OPERATION_GET_PEER;
		connection->error = 0;
	} else if (strncmp(line, get_ipip_peer, strlen(get_ipip_peer)) == 0 &&
		   inet_pton(AF_INET, line + strlen(get_ipip_peer), &connection->ipip_peer) == 1) {
		connection->operation = OPERATION_GET_IPIP_PEER;
		connection->error = 0;
	}
	connection->set = (struct uapi_set){.device = uapi->device};
}

/* Returns false if the connection is to be closed. */
static bool parse_line(struct uapi *uapi, struct uapi_connection *connection, char *line)
{
	char *value;

	if (*line == '\0')
		return connection->operation == OPERATION_NONE || finish(uapi, connection);
	if (connection->operation == OPERATION_NONE) {
		begin(uapi, connection, line);
		return true;
	}
	value = strchr(line, '=');
	if (connection->error == 0 && connection->operation == OPERATION_SET) {
		if (value)
			*value++ = '\0';
		connection->error = value ? uapi_set_line(&connection->set, line, value) : -EPROTO;
	}
	return true;
}

/* The lines that are there whole. Stops while there is an answer to write. */
static bool parse_lines(struct uapi *uapi, struct uapi_connection *connection)
{
	char *end;

	while (!connection->answer && (end = memchr(connection->line, '\n', connection->used))) {
		size_t length = (size_t)(end - connection->line) + 1;

		*end = '\0';
		if (memchr(connection->line, '\0', length - 1) ||
			!parse_line(uapi, connection, connection->line))
			return false;
		connection->used -= length;
		memmove(connection->line, end + 1, connection->used);
	}
	return connection->answer || connection->used < sizeof connection->line;
}

static bool serve_connection(struct uapi *uapi, struct uapi_connection *connection)
{
	ssize_t n;

	if (connection->answer)
		return write_answer(uapi, connection) && parse_lines(uapi, connection);
	n = recv(connection->fd, connection->line + connection->used,
		sizeof connection->line - connection->used, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	connection->used += (size_t)n;
	return parse_lines(uapi, connection);
}

void uapi_serve(struct uapi *uapi, void *pointer)
{
	struct uapi_connection *connection = pointer;

	if (pointer == uapi)
		accept_connection(uapi);
	else if (!serve_connection(uapi, connection))
		close_connection(uapi, connection);
}
