/* The control socket: its connections, the lines of requests, and the answers. Runs in the control
 * thread. */
#include "device/uapi/uapi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/secret_text.h"
#include "device/ipip/ipip.h"
#include "device/peers.h"
#include "device/uapi/uapi_get.h"
#include "device/uapi/uapi_set.h"
#include "device/uapi/uapi_value.h"

enum {
	CONNECTIONS_MAX = 64,
	STALL_MS = 1000, /* less than who takes the device's place waits: HANDOVER_STEP_MS */
};

enum uapi_operation {
	OPERATION_NONE, /* the first line comes next */
	OPERATION_SET,
	OPERATION_GET,
	OPERATION_GET_IPIP,
	OPERATION_GET_DROPS,
	OPERATION_GET_TIMESTAMP,
	OPERATION_GET_PEER,
	OPERATION_GET_IPIP_PEER,
	OPERATION_UNKNOWN,
};

struct uapi_connection {
	struct uapi_connection *next;
	int fd;
	uint32_t awaited; /* of it by epoll(7) */
	enum uapi_operation operation;
	int error; /* of the operation so far */
	uint64_t active_ms; /* when a byte last moved, by the boot clock */
	bool ended; /* nothing more is read: it is closed when it is answered */
	struct uapi_set set;
	struct key peer; /* of get_peer */
	struct in_addr ipip_peer; /* of get_ipip_peer */
	size_t used; /* of line */
	char line[UAPI_LINE_MAX];
	struct secret_text answer; /* what is there of it */
	size_t written; /* of the answer */
	bool is_listing; /* the peers that come next are yet to be written, ... */
	enum target_kind listed; /* ... those of this kind, ... */
	struct peer_cursor cursor; /* ... from here on */
};

struct uapi {
	struct device *device;
	int listener, epoll;
	unsigned int n;
	struct uapi_connection *connections;
};

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
	if (connection->is_listing)
		peer_cursor_end(uapi->device, &connection->cursor);
	secret_text_wipe(&connection->answer);
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

int uapi_adopt(struct uapi *uapi, int fd)
{
	struct uapi_connection *connection =
		uapi->n < CONNECTIONS_MAX ? calloc(1, sizeof *connection) : NULL;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

	if (!connection || epoll_ctl(uapi->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(connection);
		close(fd);
		return -ENOMEM;
	}
	connection->fd = fd;
	connection->awaited = EPOLLIN;
	connection->next = uapi->connections;
	uapi->connections = connection;
	uapi->n++;
	return 0;
}

static void accept_connection(struct uapi *uapi)
{
	int fd = accept4(uapi->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		uapi_adopt(uapi, fd);
}

static bool is_answering(const struct uapi_connection *connection)
{
	return connection->answer.used > 0 || connection->is_listing;
}

/* Between two requests. */
static bool is_idle(const struct uapi_connection *connection)
{
	return connection->operation == OPERATION_NONE && connection->used == 0 &&
	       !is_answering(connection);
}

bool uapi_is_busy(const struct uapi *uapi)
{
	const uint64_t now = clock_now_ms(&boot_clock);

	for (const struct uapi_connection *c = uapi->connections; c; c = c->next)
		if (!is_idle(c) && now < c->active_ms + STALL_MS)
			return true;
	return false;
}

unsigned int uapi_connections(const struct uapi *uapi, int *fds, unsigned int room)
{
	unsigned int n = 0;

	for (const struct uapi_connection *c = uapi->connections; c && n < room; c = c->next)
		if (is_idle(c))
			fds[n++] = c->fd;
	return n;
}

static void begin_list(struct uapi *uapi, struct uapi_connection *connection, enum target_kind kind)
{
	connection->is_listing = true;
	connection->listed = kind;
	peer_cursor_begin(uapi->device, &connection->cursor);
}

static void write_end(struct uapi_connection *connection)
{
	secret_text_append(&connection->answer, "errno=%d\n\n", connection->error);
	connection->error = 0;
}

/* The next piece of an answer that tells of all peers: others are served between two pieces. */
static void go_on_listing(struct uapi *uapi, struct uapi_connection *connection)
{
	if (uapi_get_peers(
		    uapi->device, connection->listed, &connection->cursor, &connection->answer))
		return;
	peer_cursor_end(uapi->device, &connection->cursor);
	connection->is_listing = false;
	write_end(connection);
}

/* What is written is over; the next piece takes its place. */
static void take_next_piece(struct uapi *uapi, struct uapi_connection *connection)
{
	secret_text_wipe(&connection->answer);
	connection->written = 0;
	if (connection->is_listing)
		go_on_listing(uapi, connection);
}

/* Returns false if the connection is to be closed. */
static bool await(const struct uapi *uapi, struct uapi_connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	if (connection->awaited == events)
		return true;
	connection->awaited = events;
	return epoll_ctl(uapi->epoll, EPOLL_CTL_MOD, connection->fd, &event) == 0;
}

/* Writes what it can. Returns false if the connection is to be closed. */
static bool write_answer(struct uapi *uapi, struct uapi_connection *connection)
{
	size_t left = connection->answer.used - connection->written;
	ssize_t n = 0;

	/* A piece may have none of the peers of this kind in it. */
	if (left > 0)
		n = send(connection->fd, connection->answer.s + connection->written, left,
			MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	if (n > 0) {
		connection->written += (size_t)n;
		connection->active_ms = clock_now_ms(&boot_clock);
	}
	if (connection->written == connection->answer.used) {
		take_next_piece(uapi, connection);
		if (connection->answer.failed || (connection->ended && !is_answering(connection)))
			return false;
	}
	return await(uapi, connection, is_answering(connection) ? EPOLLOUT : EPOLLIN);
}

static int answer_peer(struct uapi *uapi, struct uapi_connection *connection)
{
	struct wg_peer *peer = device_find_peer(uapi->device, &connection->peer);

	if (!peer)
		return -ENOENT;
	uapi_get_peer(peer, &connection->answer);
	return 0;
}

static int answer_ipip_peer(struct uapi *uapi, struct uapi_connection *connection)
{
	struct ipip_peer *peer = ipip_find_peer(&uapi->device->shared.ipip, connection->ipip_peer);

	if (!peer)
		return -ENOENT;
	uapi_get_ipip_peer(uapi->device, peer, &connection->answer);
	return 0;
}

/* What a question asks for. Returns 0 or a negative errno. */
static int answer_question(struct uapi *uapi, struct uapi_connection *connection)
{
	switch (connection->operation) {
	case OPERATION_GET:
		uapi_get(uapi->device, &connection->answer);
		begin_list(uapi, connection, TARGET_WIREGUARD);
		return 0;
	case OPERATION_GET_IPIP:
		uapi_get_ipip(uapi->device, &connection->answer);
		begin_list(uapi, connection, TARGET_IPIP);
		return 0;
	case OPERATION_GET_DROPS:
		uapi_get_drops(uapi->device, &connection->answer);
		return 0;
	case OPERATION_GET_TIMESTAMP:
		uapi_get_timestamp(uapi->device, &connection->answer);
		return 0;
	case OPERATION_GET_PEER:
		return answer_peer(uapi, connection);
	case OPERATION_GET_IPIP_PEER:
		return answer_ipip_peer(uapi, connection);
	default:
		return 0;
	}
}

/* The request is there whole. Returns false if the connection is to be closed. */
static bool finish(struct uapi *uapi, struct uapi_connection *connection)
{
	if (connection->error == 0)
		connection->error = answer_question(uapi, connection);
	if (!connection->is_listing)
		write_end(connection);
	connection->written = 0;
	connection->operation = OPERATION_NONE;
	return !connection->answer.failed && write_answer(uapi, connection);
}

/* What the first line of a request asks for, with the peer that it names. */
static enum uapi_operation parse_operation(struct uapi_connection *connection, const char *line)
{
	static const struct {
		const char *line;
		enum uapi_operation operation;
	} operations[] = {
		{"set=1", OPERATION_SET},
		{"get=1", OPERATION_GET},
		{"get_ipip=1", OPERATION_GET_IPIP},
		{"get_drops=1", OPERATION_GET_DROPS},
		{"get_timestamp=1", OPERATION_GET_TIMESTAMP},
	};
	static const char get_peer[] = "get_peer=", get_ipip_peer[] = "get_ipip_peer=";

	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (strcmp(line, operations[i].line) == 0)
			return operations[i].operation;
	if (strncmp(line, get_peer, strlen(get_peer)) == 0 &&
		hex_parse_key(line + strlen(get_peer), &connection->peer) == 0)
		return OPERATION_GET_PEER;
	if (strncmp(line, get_ipip_peer, strlen(get_ipip_peer)) == 0 &&
		uapi_parse_ipv4(line + strlen(get_ipip_peer), &connection->ipip_peer) == 0)
		return OPERATION_GET_IPIP_PEER;
	return OPERATION_UNKNOWN;
}

static void begin(struct uapi *uapi, struct uapi_connection *connection, const char *line)
{
	connection->operation = parse_operation(connection, line);
	connection->error = connection->operation == OPERATION_UNKNOWN ? -EINVAL : 0;
	connection->set = (struct uapi_set){.device = uapi->device};
}

/* A line that is not the first. */
static int carry_out(struct uapi_connection *connection, char *line)
{
	char *value = strchr(line, '=');

	if (connection->operation != OPERATION_SET)
		return -EINVAL; /* questions have one line */
	if (!value)
		return -EPROTO;
	*value++ = '\0';
	return uapi_set_line(&connection->set, line, value);
}

/* A line without its end, which may have been CRLF. Returns false if the connection is to be
 * closed. */
static bool parse_line(
	struct uapi *uapi, struct uapi_connection *connection, char *line, size_t length)
{
	bool text = memchr(line, '\0', length) == NULL;

	if (length > 0 && line[length - 1] == '\r')
		length--;
	line[length] = '\0';
	if (length == 0)
		return connection->operation == OPERATION_NONE || finish(uapi, connection);
	if (connection->operation == OPERATION_NONE)
		begin(uapi, connection, text ? line : "");
	else if (connection->error == 0)
		connection->error = text ? carry_out(connection, line) : -EINVAL;
	return true;
}

/* What was asked so far is answered, and nothing more is read. error: unless there was one. */
static bool finish_early(struct uapi *uapi, struct uapi_connection *connection, int error)
{
	if (connection->error == 0)
		connection->error = error;
	connection->ended = true;
	return finish(uapi, connection);
}

/* The lines that are there whole. Stops while there is an answer to write. */
static bool parse_lines(struct uapi *uapi, struct uapi_connection *connection)
{
	char *end;

	while (!is_answering(connection) &&
		(end = memchr(connection->line, '\n', connection->used))) {
		size_t length = (size_t)(end - connection->line);

		if (!parse_line(uapi, connection, connection->line, length))
			return false;
		connection->used -= length + 1;
		memmove(connection->line, end + 1, connection->used);
		explicit_bzero(connection->line + connection->used, length + 1);
	}
	if (is_answering(connection) || connection->used < sizeof connection->line)
		return true;
	return finish_early(uapi, connection, -EINVAL); /* a line without end */
}

/* Who asks has said all, perhaps without the empty line. What is cut off within a line is not
 * carried out: half of "allowed_ip=10.0.0.0/24" would be another prefix. */
static bool end_of_input(struct uapi *uapi, struct uapi_connection *connection)
{
	if (connection->operation == OPERATION_NONE)
		return false;
	return finish_early(uapi, connection, connection->used > 0 ? -EPROTO : 0);
}

static bool serve_connection(struct uapi *uapi, struct uapi_connection *connection)
{
	ssize_t n;

	if (is_answering(connection))
		return write_answer(uapi, connection) && parse_lines(uapi, connection);
	n = recv(connection->fd, connection->line + connection->used,
		sizeof connection->line - connection->used, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return end_of_input(uapi, connection);
	connection->used += (size_t)n;
	connection->active_ms = clock_now_ms(&boot_clock);
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
