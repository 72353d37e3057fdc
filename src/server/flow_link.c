/* Starts the process that writes the flow log. Runs in the broker. */
#include "server/flow_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/line_file.h"
#include "base/log.h"
#include "base/process.h"
#include "host/accounting.h"
#include "ipc/flow_process.h"
#include "ipc/packet.h"
#include "netlink/conntrack_events.h"
#include "server/child.h"
#include "server/child_start.h"
#include "server/owner_feed.h"

_Static_assert((int)FLOWS_FD_BROKER == (int)CHILD_FD_BROKER &&
		       (int)FLOWS_FD_EVENTS == (int)CHILD_FD_BROKER + 1,
	"in the order of child_spawn()");

enum {
	FILE_MODE = 0600, /* who has spoken with whom */
	/* The kernel doubles it, and a notice takes 1,280 bytes: room for 26,000, which is more
	   than a second of what the process can do at all. */
	EVENTS_BUFFER = 16 << 20,
	LAST_MS = 1500, /* to write what has come, at the end */
};

struct flow_link {
	struct flow_link_config config;
	struct owner_feed *owners;
	struct child_start process;
	struct accounting accounting;
	int file, events; /* -1: not open */

	struct flows_message state; /* of this process, as last told; */
	uint64_t written_before, lost_before; /* and what others had told, before it */
};

static int open_file(const struct flow_link *link)
{
	return line_file_open(link->config.path, FILE_MODE);
}

/* The process */

static int send_file(const struct flow_link *link, const struct child *child)
{
	const struct flows_message message = {.version = FLOWS_VERSION, .kind = FLOWS_FILE};

	return flows_send(child->fd, &message, link->file);
}

static void settle_counts(struct flow_link *link)
{
	link->written_before += link->state.n_written;
	link->lost_before += link->state.n_lost;
	link->state = (struct flows_message){0};
}

static int start_process(void *context, struct child *child)
{
	struct flow_link *link = context;
	const struct flows_message start = {
		.version = FLOWS_VERSION,
		.kind = FLOWS_START,
		.user = link->config.user,
		.group = link->config.group,
		.log_level = link->config.log_level,
		.log_format = link->config.log_format,
		.block = link->config.block.address,
		.block_length = link->config.block.length,
	};
	int error = child_spawn(child, &link->events, 1);

	if (error < 0)
		return error;
	settle_counts(link);
	line_file_mend(link->file);
	error = flows_send(child->fd, &start, -1);
	if (error == 0)
		error = send_file(link, child);
	if (error < 0)
		return error;
	return owner_feed_tell_all(link->owners, child);
}

static void on_readable(void *context, struct child *child)
{
	struct flow_link *link = context;
	struct flows_message message;
	auto_close int descriptor = -1;
	int error = flows_receive(child->fd, &message, &descriptor);

	if (error == 0 && message.kind == FLOWS_READY)
		child->is_ready = true;
	else if (error == 0 && message.kind == FLOWS_STATE && child->is_ready)
		link->state = message;
	else
		child_read_failed(child, "cannot read what it says", error < 0 ? error : -EPROTO);
}

static int open_events(void *context)
{
	struct flow_link *link = context;

	if (link->events < 0)
		link->events = conntrack_events_open(link->config.block, EVENTS_BUFFER);
	return link->events < 0 ? link->events : 0;
}

static void say_start(void *context, int error)
{
	const struct flow_link *link = context;

	if (error == 0)
		log_info("flows that end are written to %s", link->config.path);
	else
		log_error("no flow is written to %s, will try again: %s", link->config.path,
			strerror(-error));
}

static int init_process(struct flow_link *link, struct event_base *base)
{
	const struct child_start_config config = {
		.children =
			{
				.command = "flows",
				.n = 1,
				.start = start_process,
				.readable = on_readable,
				.context = link,
			},
		.open = open_events,
		.say = say_start,
	};

	return child_start_init(&link->process, base, &config);
}

static void switch_accounting_on(struct flow_link *link)
{
	accounting_switch_on(&link->accounting);
	if (link->accounting.was_changed)
		log_info("of connections that are there already the flow log does not know when "
			 "they began, nor how much they move");
}

void flow_link_start(struct flow_link *link)
{
	if (!link)
		return;
	switch_accounting_on(link);
	child_start_try(&link->process);
}

void flow_link_look(struct flow_link *link)
{
	if (link)
		switch_accounting_on(link);
}

void flow_link_reopen(struct flow_link *link)
{
	int error, fd = link ? open_file(link) : -1;
	struct child *child = link ? child_start_get(&link->process) : NULL;

	if (!link)
		return;
	if (fd < 0) {
		log_error("cannot open the flow log %s again, going on with the one before: %s",
			link->config.path, line_file_error(fd));
		return;
	}
	close(link->file);
	link->file = fd;
	error = child && child->fd >= 0 ? send_file(link, child) : 0;
	/* Its socket is full: another one begins with the file. */
	if (error < 0 && !packet_is_hung_up(error))
		child_expel(child, "cannot give it the file", error);
}

int flow_link_open(struct event_base *base, const struct flow_link_config *config,
	const struct endpoint_list *endpoints, struct flow_link **result)
{
	struct flow_link *link = calloc(1, sizeof *link);

	if (!link)
		return -ENOMEM;
	link->config = *config;
	link->events = -1;
	link->file = init_process(link, base);
	if (link->file == 0)
		link->file = owner_feed_new(base, endpoints, &link->owners);
	if (link->file == 0)
		link->file = open_file(link);
	if (link->file < 0) {
		int error = link->file;

		log_error("cannot open the flow log %s: %s", config->path, line_file_error(error));
		flow_link_free(link);
		return error;
	}
	*result = link;
	return 0;
}

/* At the end of the messages it writes what has come, and ends. */
static void let_end(struct flow_link *link)
{
	struct child *child = child_start_get(&link->process);
	int status;

	if (!child)
		return;
	child_group_retire(child->group);
	if (child->fd < 0 || child->pid == 0)
		return;
	owner_feed_send(link->owners);
	shutdown(child->fd, SHUT_WR);
	if (process_reap(child->pid, LAST_MS, &status) == 0)
		child->pid = 0;
}

void flow_link_free(struct flow_link *link)
{
	if (!link)
		return;
	let_end(link);
	child_start_free(&link->process);
	owner_feed_free(link->owners);
	if (link->file >= 0)
		close(link->file);
	if (link->events >= 0)
		close(link->events);
	free(link);
}

const struct child *flow_link_process(const struct flow_link *link)
{
	return link ? child_start_get(&link->process) : NULL;
}

void flow_link_describe(const struct flow_link *link, struct report_flows *reported)
{
	int64_t lost = link && link->events >= 0 ? conntrack_events_lost(link->events) : 0;
	const struct child *process = flow_link_process(link);

	if (!link)
		return;
	*reported = (struct report_flows){
		.is_there = 1,
		.is_failing = !process || !process->is_ready || link->state.is_failing != 0,
		.n_written = link->written_before + link->state.n_written,
		.n_unheard = lost > 0 ? (uint64_t)lost : 0,
		.n_unwritten = link->lost_before + link->state.n_lost,
	};
}

struct owner_feed *flow_link_owners(const struct flow_link *link)
{
	return link ? link->owners : NULL;
}
