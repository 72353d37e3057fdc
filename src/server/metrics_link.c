/* Starts the process that serves metrics, and answers it. Runs in the broker. */
#include "server/metrics_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ipc/metrics_process.h"
#include "ipc/packet.h"
#include "server/child.h"
#include "server/child_start.h"

_Static_assert((int)METRICS_FD_BROKER == (int)CHILD_FD_BROKER &&
		       (int)METRICS_FD_LISTENER == (int)CHILD_FD_BROKER + 1,
	"in the order of child_spawn()");

enum {
	BACKLOG = 32,
	/* One that was taken over can ask without end: between two answers it is not heard. */
	REST_MS = 200,
};

struct metrics_link {
	struct metrics_link_config config;
	struct child_start process;
	int listener; /* -1: not open yet */
};

/* Returns a listening socket or -errno. */
static int new_listener(const struct metrics_link_config *config)
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

static int open_listener(void *context)
{
	struct metrics_link *link = context;

	if (link->listener < 0)
		link->listener = new_listener(&link->config);
	return link->listener < 0 ? link->listener : 0;
}

static void say_start(void *context, int error)
{
	const struct metrics_link *link = context;

	if (error == 0)
		log_info("metrics are served at %s", link->config.text);
	else
		log_error("cannot serve metrics at %s, will try again: %s", link->config.text,
			strerror(-error));
}

int metrics_link_new(struct event_base *base, const struct metrics_link_config *config,
	struct metrics_link **result)
{
	struct metrics_link *link = calloc(1, sizeof *link);
	const struct child_start_config process = {
		.children =
			{
				.command = "metrics",
				.n = 1,
				.start = start_process,
				.readable = on_readable,
				.context = link,
			},
		.open = open_listener,
		.say = say_start,
	};

	if (!link)
		return -ENOMEM;
	link->config = *config;
	link->listener = -1;
	if (child_start_init(&link->process, base, &process) < 0) {
		free(link);
		return -ENOMEM;
	}
	child_start_try(&link->process);
	*result = link;
	return 0;
}

const struct child *metrics_link_process(const struct metrics_link *link)
{
	return link ? child_start_get(&link->process) : NULL;
}

void metrics_link_free(struct metrics_link *link)
{
	if (!link)
		return;
	child_start_free(&link->process);
	if (link->listener >= 0)
		close(link->listener);
	free(link);
}
