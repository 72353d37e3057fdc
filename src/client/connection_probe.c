/* Begins a TCP connection through the tunnel, and drops it as soon as it is answered. Runs in the
 * client's one thread, called by its events. */
#include "client/connection_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/event.h"

enum { CONTROL_PORT = 443 };

struct connection_probe {
	struct event_base *base;
	connection_probe_fn *answered;
	void *context;
	int given; /* a socket to use; -1: one is made */
	int fd; /* -1: none is under way */
	struct event *writable;
};

struct connection_probe *connection_probe_new(
	struct event_base *base, connection_probe_fn *answered, void *context)
{
	struct connection_probe *probe = calloc(1, sizeof *probe);

	if (probe)
		*probe = (struct connection_probe){.base = base,
			.answered = answered,
			.context = context,
			.given = -1,
			.fd = -1};
	return probe;
}

void connection_probe_use_socket(struct connection_probe *probe, int socket)
{
	probe->given = socket;
}

/* A copy is closed when the last one is: the connection is ended by hand (connect(2)). */
static void disconnect(int fd)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	if (connect(fd, &nowhere, sizeof nowhere) < 0) {
		/* it has never begun */
	}
}

void connection_probe_stop(struct connection_probe *probe)
{
	free_event(probe->writable);
	probe->writable = NULL;
	if (probe->fd >= 0 && probe->given >= 0)
		disconnect(probe->fd);
	if (probe->fd >= 0)
		close(probe->fd);
	probe->fd = -1;
}

void connection_probe_free(struct connection_probe *probe)
{
	if (probe)
		connection_probe_stop(probe);
	free(probe);
}

/* A refusal is an answer too. Other errors may be of this host, or of one on the way. */
static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct connection_probe *probe = context;
	int error = 0;
	socklen_t length = sizeof error;
	bool answered = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
			(error == 0 || error == ECONNREFUSED);

	(void)what;
	connection_probe_stop(probe);
	if (answered)
		probe->answered(probe->context);
}

/* When it is closed, the server is told by a reset, and has nothing left of it. */
static int open_socket(int given, const char *interface)
{
	static const struct linger reset = {.l_onoff = 1};
	int fd = given >= 0 ? fcntl(given, F_DUPFD_CLOEXEC, 0)
			    : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
		    (socklen_t)strlen(interface) + 1) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0)
		return fd;
	close(fd);
	return -1;
}

void connection_probe_start(
	struct connection_probe *probe, const char *interface, struct ipv4 server)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(CONTROL_PORT),
		.sin_addr.s_addr = ipv4_to_net(server)};

	connection_probe_stop(probe);
	probe->fd = open_socket(probe->given, interface);
	if (probe->fd < 0)
		return;
	probe->writable = event_new(probe->base, probe->fd, EV_WRITE, on_writable, probe);
	if (!probe->writable || event_add(probe->writable, NULL) < 0 ||
		(connect(probe->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS))
		connection_probe_stop(probe);
}
