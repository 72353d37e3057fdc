/* Accepts connections on the listening sockets that all gates share. Runs in the gate's one thread,
 * called by its events. */
#include "gate/acceptor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"
#include "gate/admission.h"

enum {
	ACCEPTS_AT_ONCE = 4, /* few, so that the other gates get their share of a storm */
	PAUSE_MS = 100, /* after an error that would come again at once */
};

struct listener {
	struct acceptor *acceptor;
	struct event *readable;
	uint16_t endpoint;
	uint16_t port;
};

struct acceptor {
	struct connection_set *connections;
	struct event *resume;
	bool is_paused; /* by the owner */
	struct log_limit failed;
	size_t n;
	struct listener listeners[];
};

static void watch_listeners(struct acceptor *acceptor)
{
	for (size_t i = 0; i < acceptor->n; i++)
		event_add(acceptor->listeners[i].readable, NULL);
}

static void leave_listeners(struct acceptor *acceptor)
{
	for (size_t i = 0; i < acceptor->n; i++)
		event_del(acceptor->listeners[i].readable);
}

/* No descriptor or no memory is left. One connection less makes room for the one that waits, and
 * if there is none to spare, trying again at once would be a busy loop. */
static void on_shortage(struct acceptor *acceptor, int error)
{
	static const struct timeval pause = {0, PAUSE_MS * 1000};
	struct connection_set *connections = acceptor->connections;
	struct log_limit_text more;

	if (log_limit_allows(&acceptor->failed, clock_now_ms(connections->clock), &more))
		log_warning("cannot accept a connection: %s%s", strerror(error), more.s);
	admission_evict(connections);
	leave_listeners(acceptor);
	evtimer_add(acceptor->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *acceptor = context;

	(void)fd;
	(void)what;
	if (!acceptor->is_paused)
		watch_listeners(acceptor);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* How much there must be before the socket is readable it has of the listener, which all gates
 * share, and one that was taken over may set: nobody's request would ever come. */
static void set_options(int fd)
{
	static const int on = 1, one_byte = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one_byte, sizeof one_byte);
}

static void on_connection(evutil_socket_t listening_fd, short what, void *context)
{
	const struct listener *listener = context;

	(void)what;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage address;
		socklen_t length = sizeof address;
		struct client_address client = {
			.endpoint = listener->endpoint, .local_port = listener->port};
		int fd = accept4(listening_fd, (struct sockaddr *)&address, &length,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		/* EAGAIN: another gate was faster. The rest: accept(2) has them come again or go
		 * by. */
		if (fd < 0 && is_shortage(errno))
			on_shortage(listener->acceptor, errno);
		if (fd < 0)
			return;
		set_options(fd);
		client_address_set(&client, &address);
		admission_admit(listener->acceptor->connections, fd, &client);
	}
}

static int port_of(int fd, uint16_t *port)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	struct client_address self;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	client_address_set(&self, &address);
	*port = self.port;
	return 0;
}

static int add(struct acceptor *acceptor, struct event_base *base, int fd)
{
	struct listener *listener = &acceptor->listeners[acceptor->n];
	int error = port_of(fd, &listener->port);

	if (error < 0)
		return error;
	if (evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0)
		return -errno;
	listener->acceptor = acceptor;
	listener->endpoint = (uint16_t)acceptor->n;
	listener->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_connection, listener);
	if (!listener->readable)
		return -ENOMEM;
	acceptor->n++;
	return event_add(listener->readable, NULL) < 0 ? -ENOMEM : 0;
}

struct acceptor *acceptor_new(
	struct event_base *base, int first_fd, size_t n, struct connection_set *set)
{
	struct acceptor *acceptor = calloc(1, sizeof *acceptor + n * sizeof(struct listener));
	int error = 0;

	if (!acceptor)
		return NULL;
	acceptor->connections = set;
	acceptor->resume = evtimer_new(base, on_resume, acceptor);
	if (!acceptor->resume)
		error = -ENOMEM;
	for (int fd = first_fd; fd < first_fd + (int)n && error == 0; fd++)
		error = add(acceptor, base, fd);
	if (error < 0) {
		acceptor_free(acceptor);
		errno = -error;
		return NULL;
	}
	return acceptor;
}

void acceptor_pause(struct acceptor *acceptor)
{
	acceptor->is_paused = true;
	leave_listeners(acceptor);
}

void acceptor_resume(struct acceptor *acceptor)
{
	acceptor->is_paused = false;
	watch_listeners(acceptor);
}

void acceptor_free(struct acceptor *acceptor)
{
	if (!acceptor)
		return;
	for (size_t i = 0; i < acceptor->n; i++) {
		int fd = event_get_fd(acceptor->listeners[i].readable);

		event_free(acceptor->listeners[i].readable);
		close(fd);
	}
	free_event(acceptor->resume);
	free(acceptor);
}
