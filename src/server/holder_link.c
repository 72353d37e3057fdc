/* Starts the holder, tells it what to hold, and starts another when it has ended. Runs in the
 * broker. */
#include "server/holder_link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/unix_address.h"
#include "ipc/holding.h"
#include "ipc/packet.h"
#include "server/spawn.h"

_Static_assert((int)HOLDER_FD_SERVER == (int)SPAWN_FD_FIRST &&
		       (int)HOLDER_FD_SOCKET == (int)SPAWN_FD_FIRST + 1,
	"in the order of start()");

enum {
	SOCKET_MASK = 0177, /* leaves 0600 */
	/* All listeners that there may be, at once. */
	BUFFER_SIZE = 4 * 1024 * 1024,
	RESTART_MS = 1000, /* after the first end; then twice as long, and so on */
	RESTART_MAX_MS = 60 * 1000,
};

struct holder_link {
	struct holder_link_config config;
	struct event_base *base;
	int fd; /* -1: there is none */
	struct event *readable, *restart;
	unsigned int delay_ms; /* before the next start */
	bool is_retired, is_ready;
	uint32_t n_restarts;
	uint64_t started_ms; /* by the system's clock */
};

static int spawn_holder(int server)
{
	auto_close int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = door < 0 ? -errno : unix_bind_anew(door, HOLDER_SOCKET_NEW, SOCKET_MASK);

	return error < 0 ? error : spawn_detached("holder", (const int[]){server, door}, 2);
}

static void tell(struct holder_link *link, const struct holding_message *message, int descriptor)
{
	int error = link->fd < 0 ? 0 : holding_send(link->fd, message, descriptor);

	if (error < 0 && !packet_is_hung_up(error))
		log_warning(
			"cannot tell the holder of the listening sockets: %s", strerror(-error));
}

static void disconnect(struct holder_link *link)
{
	free_event(link->readable);
	link->readable = NULL;
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->is_ready = false;
}

static void restart_later(struct holder_link *link)
{
	const struct timeval delay = timeval_from_ms(link->delay_ms);

	if (link->delay_ms < RESTART_MAX_MS)
		link->delay_ms *= 2;
	disconnect(link);
	evtimer_add(link->restart, &delay);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct holder_link *link = context;
	struct holding_message message;
	int passed, error = holding_receive(fd, &message, &passed);

	(void)what;
	if (error == -EAGAIN || error == -EINTR)
		return;
	/* None is asked for here. */
	if (error == 0 && passed >= 0)
		close(passed);
	if (error == 0 && message.kind == HOLDING_READY) {
		link->delay_ms = RESTART_MS;
		link->is_ready = true;
		link->config.on_ready(link->config.context);
		return;
	}
	if (link->is_retired) {
		disconnect(link);
		return;
	}
	log_warning("the holder of the listening sockets has ended; starting another");
	restart_later(link);
}

static int start(struct holder_link *link)
{
	const struct holding_message message = {.version = HOLDING_VERSION,
		.kind = HOLDING_START,
		.user = link->config.user,
		.group = link->config.group,
		.owner = geteuid()};
	const int size = BUFFER_SIZE;
	auto_close int end = -1;
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	link->fd = ends[0];
	end = ends[1];
	link->started_ms = clock_now_ms(&system_clock);
	if (setsockopt(link->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		log_debug("cannot set the size of a socket's buffer: %m");
	link->readable = event_new(link->base, link->fd, EV_READ | EV_PERSIST, on_readable, link);
	error = link->readable && event_add(link->readable, NULL) == 0 ? spawn_holder(end)
								       : -ENOMEM;
	if (error < 0)
		disconnect(link);
	else
		tell(link, &message, -1);
	return error;
}

static void on_restart(evutil_socket_t fd, short what, void *context)
{
	struct holder_link *link = context;
	int error = start(link);

	(void)fd;
	(void)what;
	if (error == 0) {
		link->n_restarts++;
		link->config.on_restarted(link->config.context);
		return;
	}
	log_error("cannot start a holder of the listening sockets, will try again: %s",
		strerror(-error));
	restart_later(link);
}

int holder_link_new(struct event_base *base, const struct holder_link_config *config,
	struct holder_link **result)
{
	struct holder_link *link = calloc(1, sizeof *link);
	int error = -ENOMEM;

	if (!link)
		return error;
	link->config = *config;
	link->base = base;
	link->fd = -1;
	link->delay_ms = RESTART_MS;
	link->restart = evtimer_new(base, on_restart, link);
	if (link->restart)
		error = start(link);
	if (error < 0)
		holder_link_free(link);
	else
		*result = link;
	return error;
}

void holder_link_hold(struct holder_link *link, int fd, struct ipv4 address, unsigned short port)
{
	const struct holding_message message = {
		.version = HOLDING_VERSION, .kind = HOLDING_HOLD, .port = port, .address = address};

	tell(link, &message, fd);
}

void holder_link_drop(struct holder_link *link, struct ipv4 address, unsigned short port)
{
	const struct holding_message message = {
		.version = HOLDING_VERSION, .kind = HOLDING_DROP, .port = port, .address = address};

	tell(link, &message, -1);
}

struct report_process holder_link_process(const struct holder_link *link)
{
	return (struct report_process){
		.is_ready = link->is_ready,
		.n_restarts = link->n_restarts,
		.uptime_ms = link->fd >= 0 ? clock_now_ms(&system_clock) - link->started_ms : 0,
	};
}

void holder_link_retire(struct holder_link *link)
{
	link->is_retired = true;
	event_del(link->restart);
}

void holder_link_end(struct holder_link *link)
{
	const struct holding_message message = {.version = HOLDING_VERSION, .kind = HOLDING_END};

	holder_link_retire(link);
	tell(link, &message, -1);
	disconnect(link);
	unlink(HOLDER_SOCKET_NEW);
	unlink(HOLDER_SOCKET);
}

void holder_link_free(struct holder_link *link)
{
	if (!link)
		return;
	free_event(link->restart);
	disconnect(link);
	free(link);
}
