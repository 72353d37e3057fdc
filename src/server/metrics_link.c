/* Starts the process that serves metrics, and answers it. Runs in the broker. */
#include "server/metrics_link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "ipc/metrics_process.h"
#include "ipc/packet.h"
#include "server/child.h"

_Static_assert((int)METRICS_FD_BROKER == (int)CHILD_FD_BROKER &&
		       (int)METRICS_FD_LISTENER == (int)CHILD_FD_BROKER + 1,
	"in the order of child_spawn()");

enum {
	RETRY_MS = 5000, /* after an address could not be listened at */
	BACKLOG = 32,
	/* One that was taken over can ask without end: between two answers it is not heard. */
	REST_MS = 200,
};

struct metrics_link {
	struct metrics_link_config config;
	struct event_base *base;
	struct event *retry;
	struct child_group *group; /* NULL: not started yet */
	int listener; /* -1 likewise */
	bool has_failed; /* which was said */
};

/* Returns a listening socket or -errno. */
static int open_listener(const struct metrics_link_config *config)
{
	const int on = 1;
	int error, fd = socket(config->address->sa_family,
			   SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
		bind(fd, config->address, config->address_length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int start_process(void *context, struct child *child)
{
	struct metrics_link *link = context;
	const struct metrics_message start = {
		.version = METRICS_VERSION,
		.kind = METRICS_START,
		.user = link->config.user,
		.group = link->config.group,
		.log_level = link->config.log_level,
		.log_format = link->config.log_format,
	};
	int error = child_spawn(child, &link->listener, 1);

	return error < 0 ? error : metrics_send(child->fd, &start, -1);
}

/* As a file in memory whose offset is at its beginning. Returns it (close-on-exec) or -errno. */
static int write_file(struct evbuffer *report)
{
	int fd = memfd_create("vprox-report", MFD_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	while (error == 0 && evbuffer_get_length(report) > 0)
		if (evbuffer_write(report, fd) <= 0)
			error = -EIO;
	if (error == 0 && lseek(fd, 0, SEEK_SET) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int send_report(struct metrics_link *link, const struct child *child)
{
	struct metrics_message message = {.version = METRICS_VERSION, .kind = METRICS_REPORT};
	struct evbuffer *report = evbuffer_new();
	auto_close int fd = -1;
	int error =
		report ? link->config.report(link->config.context, REPORT_SUMS, report) : -ENOMEM;

	if (error == 0) {
		message.length = (uint32_t)evbuffer_get_length(report);
		fd = write_file(report);
		error = fd < 0 ? fd : metrics_send(child->fd, &message, fd);
	}
	if (report)
		evbuffer_free(report);
	return error;
}

static void answer(struct metrics_link *link, struct child *child)
{
	int error = send_report(link, child);

	/* It is not told: whoever has asked it hears that the broker has not answered. */
	if (error < 0 && !packet_is_hung_up(error))
		child_expel(child, "cannot give it a report", error);
	else
		child_pause(child, REST_MS);
}

static void on_readable(void *context, struct child *child)
{
	struct metrics_message message;
	auto_close int descriptor = -1;
	int error = metrics_receive(child->fd, &message, &descriptor);

	if (error == 0 && message.kind == METRICS_READY)
		child->is_ready = true;
	else if (error == 0 && message.kind == METRICS_ASK && child->is_ready)
		answer(context, child);
	else
		child_read_failed(child, "cannot read what it says", error < 0 ? error : -EPROTO);
}

static int start(struct metrics_link *link)
{
	const struct child_group_config config = {
		.command = "metrics",
		.n = 1,
		.start = start_process,
		.readable = on_readable,
		.context = link,
	};
	int error;

	if (link->listener < 0)
		link->listener = open_listener(&link->config);
	error = link->listener < 0 ? link->listener
				   : child_group_new(link->base, &config, &link->group);
	if (error == 0)
		log_info("metrics are served at %s", link->config.text);
	return error;
}

static void try_to_start(struct metrics_link *link)
{
	const struct timeval delay = timeval_from_ms(RETRY_MS);
	int error = start(link);

	if (error == 0)
		return;
	if (!link->has_failed)
		log_error("cannot serve metrics at %s, will try again: %s", link->config.text,
			strerror(-error));
	link->has_failed = true;
	evtimer_add(link->retry, &delay);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	try_to_start(context);
}

int metrics_link_new(struct event_base *base, const struct metrics_link_config *config,
	struct metrics_link **result)
{
	struct metrics_link *link = calloc(1, sizeof *link);

	if (!link)
		return -ENOMEM;
	link->config = *config;
	link->base = base;
	link->listener = -1;
	link->retry = evtimer_new(base, on_retry, link);
	if (!link->retry) {
		free(link);
		return -ENOMEM;
	}
	try_to_start(link);
	*result = link;
	return 0;
}

const struct child *metrics_link_process(const struct metrics_link *link)
{
	return link && link->group ? child_group_get(link->group, 0) : NULL;
}

void metrics_link_free(struct metrics_link *link)
{
	if (!link)
		return;
	free_event(link->retry);
	child_group_free(link->group);
	if (link->listener >= 0)
		close(link->listener);
	free(link);
}
