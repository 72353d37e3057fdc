#include "gate/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"

enum {
	ACCEPTS_AT_ONCE = 4, /* few, so that the other gates get their share of a storm */
	PAUSE_MS = 100, /* after an error that would come again at once */
};

struct listener {
	struct listeners *all;
	struct event *readable;
	uint16_t endpoint;
	uint16_t port;
};

struct listeners {
	struct connections *connections;
	struct event *resume;
	struct log_limit failed;
	size_t n;
	struct listener each[];
};

/* No descriptor or no memory is left. One connection less makes room for the one that waits, and
 * if there is none to spare, trying again at once would be a busy loop. */
static void on_shortage(struct listeners *listeners, int error)
{
	static const struct timeval pause = {0, PAUSE_MS * 1000};
	struct connections *connections = listeners->connections;
	struct log_limit_text more;

	if (log_limit_take(&listeners->failed, clock_now_ms(connections->clock), &more))
		log_warning("cannot accept a connection: %s%s", strerror(error), more.s);
	connections_evict(connections);
	for (size_t i = 0; i < listeners->n; i++)
		event_del(listeners->each[i].readable);
	evtimer_add(listeners->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	struct listeners *listeners = context;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < listeners->n; i++)
		event_add(listeners->each[i].readable, NULL);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_connection(evutil_socket_t listening_fd, short what, void *context)
{
	static const int on = 1;
	const struct listener *listener = context;

	(void)what;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage address;
		socklen_t length = sizeof address;
		struct client client = {
			.endpoint = listener->endpoint, .local_port = listener->port};
		int fd = accept4(listening_fd, (struct sockaddr *)&address, &length,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		/* EAGAIN: another gate was faster. The rest: accept(2) has them come again or go
		 * by. */
		if (fd < 0 && is_shortage(errno))
			on_shortage(listener->all, errno);
		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		client_set_address(&client, &address);
		connections_admit(listener->all->connections, fd, &client);
	}
}

static int port_of(int fd, uint16_t *port)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	struct client self;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	client_set_address(&self, &address);
	*port = self.port;
	return 0;
}

static int add(struct listeners *listeners, struct event_base *base, int fd)
{
	struct listener *listener = &listeners->each[listeners->n];
	int error = port_of(fd, &listener->port);

	if (error < 0)
		return error;
	if (evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0)
		return -errno;
	listener->all = listeners;
	listener->endpoint = (uint16_t)listeners->n;
	listener->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_connection, listener);
	if (!listener->readable)
		return -ENOMEM;
	listeners->n++;
	return event_add(listener->readable, NULL) < 0 ? -ENOMEM : 0;
}

struct listeners *listeners_new(
	struct event_base *base, int first_fd, size_t n, struct connections *connections)
{
	struct listeners *listeners = calloc(1, sizeof *listeners + n * sizeof(struct listener));
	int error = 0;

	if (!listeners)
		return NULL;
	listeners->connections = connections;
	listeners->resume = evtimer_new(base, on_resume, listeners);
	if (!listeners->resume)
		error = -ENOMEM;
	for (int fd = first_fd; fd < first_fd + (int)n && error == 0; fd++)
		error = add(listeners, base, fd);
	if (error < 0) {
		listeners_free(listeners);
		errno = -error;
		return NULL;
	}
	return listeners;
}

void listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return;
	for (size_t i = 0; i < listeners->n; i++) {
		int fd = event_get_fd(listeners->each[i].readable);

		event_free(listeners->each[i].readable);
		close(fd);
	}
	free_event(listeners->resume);
	free(listeners);
}
