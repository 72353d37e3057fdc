/* Accepts connections on the listening sockets that all gates share. Runs in the gate's one thread,
 * called by its events. */
#include "gate/acceptor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"
#include "gate/admission.h"

enum {
	PAUSE_MS = 100, /* after an error that would come again at once */
};

struct listener {
	struct acceptor *acceptor;
	struct event *readable;
	struct ipv4 bind; /* of its endpoint */
	uint16_t port;
	LIST_ENTRY(listener) entry;
};

struct acceptor {
	struct event_base *base;
	struct connection_set *connections;
	struct event *resume;
	bool is_paused; /* by the owner */
	struct log_limit failed;
	LIST_HEAD(, listener) listeners;
};

static void watch_listeners(struct acceptor *acceptor)
{
	struct listener *listener;

	LIST_FOREACH(listener, &acceptor->listeners, entry)
	event_add(listener->readable, NULL);
}

static void leave_listeners(struct acceptor *acceptor)
{
	struct listener *listener;

	LIST_FOREACH(listener, &acceptor->listeners, entry)
	event_del(listener->readable);
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

/* One at a time: the other gates get their share of a storm, and to look for a second one in vain
 * costs as much as to take the first. */
static void on_connection(evutil_socket_t listening_fd, short what, void *context)
{
	const struct listener *listener = context;
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	struct client_address client = {.local = listener->bind, .local_port = listener->port};
	int fd = accept4(
		listening_fd, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	/* EAGAIN: another gate was faster. The rest: accept(2) has them come again or go by. */
	if (fd < 0 && is_shortage(errno))
		on_shortage(listener->acceptor, errno);
	if (fd < 0)
		return;
	set_options(fd);
	client_address_set(&client, &address);
	admission_admit(listener->acceptor->connections, fd, &client);
}

static void close_listener(struct listener *listener)
{
	int fd = event_get_fd(listener->readable);

	event_free(listener->readable);
	close(fd);
	LIST_REMOVE(listener, entry);
	free(listener);
}

/* Whether it accepts now, or will by itself: not while its owner, or a shortage, has it pause. */
static bool is_accepting(const struct acceptor *acceptor)
{
	return !acceptor->is_paused && !event_pending(acceptor->resume, EV_TIMEOUT, NULL);
}

static struct listener *listener_new(
	struct acceptor *acceptor, int fd, const struct gate_endpoint *endpoint)
{
	struct listener *listener = calloc(1, sizeof *listener);

	if (!listener)
		return NULL;
	listener->acceptor = acceptor;
	listener->bind = endpoint->bind;
	listener->port = endpoint->control_port;
	listener->readable =
		event_new(acceptor->base, fd, EV_READ | EV_PERSIST, on_connection, listener);
	if (listener->readable)
		return listener;
	free(listener);
	return NULL;
}

int acceptor_add(struct acceptor *acceptor, int fd, const struct gate_endpoint *endpoint)
{
	struct listener *listener = listener_new(acceptor, fd, endpoint);

	if (!listener) {
		close(fd);
		return -ENOMEM;
	}
	acceptor_remove(acceptor, endpoint->bind);
	LIST_INSERT_HEAD(&acceptor->listeners, listener, entry);
	if (is_accepting(acceptor) && event_add(listener->readable, NULL) < 0) {
		close_listener(listener);
		return -ENOMEM;
	}
	return 0;
}

void acceptor_remove(struct acceptor *acceptor, struct ipv4 bind)
{
	struct listener *listener;

	LIST_FOREACH(listener, &acceptor->listeners, entry)
	if (ipv4_equal(listener->bind, bind)) {
		close_listener(listener);
		return;
	}
}

struct acceptor *acceptor_new(struct event_base *base, struct connection_set *set)
{
	struct acceptor *acceptor = calloc(1, sizeof *acceptor);

	if (!acceptor)
		return NULL;
	LIST_INIT(&acceptor->listeners);
	acceptor->base = base;
	acceptor->connections = set;
	acceptor->is_paused = true;
	acceptor->resume = evtimer_new(base, on_resume, acceptor);
	if (acceptor->resume)
		return acceptor;
	free(acceptor);
	return NULL;
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
	while (!LIST_EMPTY(&acceptor->listeners))
		close_listener(LIST_FIRST(&acceptor->listeners));
	free_event(acceptor->resume);
	free(acceptor);
}
