/* Starts the process that writes the flow log, and tells it who has which address. Runs in the
 * broker. */
#include "server/flow_link.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/line_file.h"
#include "base/log.h"
#include "base/process.h"
#include "host/accounting.h"
#include "ipc/flow_process.h"
#include "ipc/packet.h"
#include "netlink/conntrack_events.h"
#include "server/child.h"
#include "server/endpoint.h"

_Static_assert((int)FLOWS_FD_BROKER == (int)CHILD_FD_BROKER &&
		       (int)FLOWS_FD_EVENTS == (int)CHILD_FD_BROKER + 1,
	"in the order of child_spawn()");

enum {
	FILE_MODE = 0600, /* who has spoken with whom */
	RETRY_MS = 5000, /* after the process could not be started at all */
	/* The kernel doubles it. 20,000 flows that end within a second need some 20 MB. */
	EVENTS_BUFFER = 16 << 20,
	SEND_AGAIN_MS = 5, /* after the process's socket was full */
	/* Of what it has not taken yet: a process that far behind is started again. All peers of a
	   full block of 65,536 take 14 MB. */
	QUEUE_MAX_SIZE = 64 << 20,
	PAST = 256, /* peers that have gone, for a process that is started again */
	LAST_MS = 1500, /* to write what has come, at the end */
};

static const uint64_t ns_per_s = 1000000000;

struct past_peer {
	struct flows_message begin, end;
};

struct flow_link {
	struct flow_link_config config;
	const struct endpoint_list *endpoints;
	struct event_base *base;
	struct event *retry, *send_again;
	struct child_group *group; /* NULL: not started yet */
	struct accounting accounting;
	bool has_failed; /* which was said */
	int file, events; /* -1: not open */

	struct evbuffer *queue; /* of messages, for the process that runs */
	struct past_peer past[PAST]; /* a ring: n_past % PAST is the oldest */
	uint64_t n_past;

	struct flows_message state; /* of this process, as last told; */
	uint64_t written_before, lost_before; /* and what others had told, before it */
};

static uint64_t now_ns(void)
{
	return clock_wall_ns();
}

static int open_file(const struct flow_link *link)
{
	return line_file_open(link->config.path, FILE_MODE);
}

static const char *file_error(int error)
{
	return error == -EINVAL ? "not a file that can be written" : strerror(-error);
}

/* What is told of peers */

static void send_again_later(struct flow_link *link)
{
	const struct timeval delay = timeval_from_ms(SEND_AGAIN_MS);

	evtimer_add(link->send_again, &delay);
}

static bool may_send(const struct flow_link *link)
{
	return link->group && child_group_get(link->group, 0)->fd >= 0;
}

static void send_queue(struct flow_link *link)
{
	struct flows_message message;
	int error = 0;

	if (!may_send(link))
		return;
	while (error == 0 && evbuffer_copyout(link->queue, &message, sizeof message) ==
				     (ssize_t)sizeof message) {
		error = flows_send(child_group_get(link->group, 0)->fd, &message, -1);
		if (error == 0)
			evbuffer_drain(link->queue, sizeof message);
	}
	/* One that has hung up is started again, and told anew. */
	if (error < 0 && !packet_is_hung_up(error))
		send_again_later(link);
}

static void on_send_again(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	send_queue(context);
}

/* Without memory for it the process would know something that is not so: another one is told
 * anew. */
static void enqueue(struct flow_link *link, const struct flows_message *message)
{
	int error = evbuffer_add(link->queue, message, sizeof *message) < 0 ? -ENOMEM : 0;

	if (error == 0 && evbuffer_get_length(link->queue) > QUEUE_MAX_SIZE)
		error = -ENOBUFS;
	if (error < 0 && may_send(link))
		child_expel(child_group_get(link->group, 0), "cannot tell it who has which address",
			error);
}

static struct flows_message describe_begin(const struct peer *peer, uint64_t when_ns)
{
	return (struct flows_message){
		.version = FLOWS_VERSION,
		.kind = FLOWS_BEGIN,
		.inner = peer->id.inner,
		.client = peer->id.kind == PEER_WIREGUARD ? FLOWS_WIREGUARD : FLOWS_IPIP,
		.name = *peers_name_of(peer),
		.when_ns = when_ns,
	};
}

static struct flows_message describe_end(const struct peer *peer)
{
	return (struct flows_message){
		.version = FLOWS_VERSION,
		.kind = FLOWS_END,
		.inner = peer->id.inner,
		.when_ns = now_ns(),
	};
}

void flow_link_began(struct flow_link *link, const struct peer *peer)
{
	const struct flows_message message = describe_begin(peer, now_ns());

	if (!link || !link->group)
		return;
	enqueue(link, &message);
	send_queue(link);
}

void flow_link_ended(struct flow_link *link, const struct peer *peer)
{
	struct past_peer *past;

	if (!link)
		return;
	past = &link->past[link->n_past++ % PAST];
	past->begin = describe_begin(peer, peer->made_s * ns_per_s);
	past->end = describe_end(peer);
	if (!link->group)
		return;
	enqueue(link, &past->end);
	send_queue(link);
}

static void enqueue_past(struct flow_link *link)
{
	const uint64_t first = link->n_past > PAST ? link->n_past - PAST : 0;

	for (uint64_t i = first; i < link->n_past; i++) {
		enqueue(link, &link->past[i % PAST].begin);
		enqueue(link, &link->past[i % PAST].end);
	}
}

/* Those that the audit knows of: who is promised and not there yet follows. */
static void enqueue_endpoint(struct flow_link *link, const struct endpoint *endpoint)
{
	hash_for_each (&endpoint->peers.table, node) {
		const struct peer *peer = hash_entry(node, struct peer, node);
		const struct flows_message begin = describe_begin(peer, peer->made_s * ns_per_s);

		if (peer->is_told)
			enqueue(link, &begin);
	}
}

/* The process */

static void enqueue_all(struct flow_link *link)
{
	const struct flows_message told = {.version = FLOWS_VERSION, .kind = FLOWS_TOLD};
	const struct endpoint *endpoint;

	evbuffer_drain(link->queue, evbuffer_get_length(link->queue));
	enqueue_past(link);
	TAILQ_FOREACH (endpoint, link->endpoints, entry)
		if (endpoint->state != ENDPOINT_DESCRIBED)
			enqueue_endpoint(link, endpoint);
	enqueue(link, &told);
}

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
	error = flows_send(child->fd, &start, -1);
	if (error == 0)
		error = send_file(link, child);
	if (error < 0)
		return error;
	enqueue_all(link);
	send_again_later(link);
	return 0;
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
	else if (packet_is_hung_up(error))
		child_hang_up(child);
	else if (error != -EAGAIN && error != -EINTR)
		child_expel(child, "cannot read what it says", error < 0 ? error : -EPROTO);
}

static int start(struct flow_link *link)
{
	const struct child_group_config config = {
		.command = "flows",
		.n = 1,
		.start = start_process,
		.readable = on_readable,
		.context = link,
	};
	int error;

	if (link->events < 0)
		link->events = conntrack_events_open(link->config.block, EVENTS_BUFFER);
	error = link->events < 0 ? link->events
				 : child_group_new(link->base, &config, &link->group);
	return error;
}

static void try_to_start(struct flow_link *link)
{
	const struct timeval delay = timeval_from_ms(RETRY_MS);
	int error = start(link);

	if (error == 0) {
		log_info("flows that end are written to %s", link->config.path);
		return;
	}
	if (!link->has_failed)
		log_error("no flow is written to %s, will try again: %s", link->config.path,
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

static void switch_accounting_on(struct flow_link *link)
{
	accounting_switch_on(&link->accounting, NULL);
	if (link->accounting.was_changed)
		log_info("of connections that are there already the flow log does not know when "
			 "they began, nor how much they move");
}

void flow_link_start(struct flow_link *link)
{
	if (!link)
		return;
	switch_accounting_on(link);
	try_to_start(link);
}

void flow_link_look(struct flow_link *link)
{
	if (link)
		switch_accounting_on(link);
}

void flow_link_reopen(struct flow_link *link)
{
	int error, fd = link ? open_file(link) : -1;
	struct child *child = link && link->group ? child_group_get(link->group, 0) : NULL;

	if (!link)
		return;
	if (fd < 0) {
		log_error("cannot open the flow log %s again, going on with the one before: %s",
			link->config.path, file_error(fd));
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
	link->endpoints = endpoints;
	link->base = base;
	link->events = -1;
	link->retry = evtimer_new(base, on_retry, link);
	link->send_again = evtimer_new(base, on_send_again, link);
	link->queue = evbuffer_new();
	link->file = link->retry && link->send_again && link->queue ? open_file(link) : -ENOMEM;
	if (link->file < 0) {
		int error = link->file;

		log_error("cannot open the flow log %s: %s", config->path, file_error(error));
		flow_link_free(link);
		return error;
	}
	*result = link;
	return 0;
}

/* At the end of the messages it writes what has come, and ends. */
static void let_end(struct flow_link *link)
{
	struct child *child = child_group_get(link->group, 0);
	int status;

	child_group_retire(link->group);
	if (child->fd < 0 || child->pid == 0)
		return;
	send_queue(link);
	shutdown(child->fd, SHUT_WR);
	if (process_reap(child->pid, LAST_MS, &status) == 0)
		child->pid = 0;
}

void flow_link_free(struct flow_link *link)
{
	if (!link)
		return;
	if (link->group)
		let_end(link);
	child_group_free(link->group);
	free_event(link->retry);
	free_event(link->send_again);
	if (link->queue)
		evbuffer_free(link->queue);
	if (link->file >= 0)
		close(link->file);
	if (link->events >= 0)
		close(link->events);
	free(link);
}

const struct child *flow_link_process(const struct flow_link *link)
{
	return link && link->group ? child_group_get(link->group, 0) : NULL;
}

void flow_link_describe(const struct flow_link *link, struct report_flows *reported)
{
	int64_t lost = link && link->events >= 0 ? conntrack_events_lost(link->events) : 0;

	if (!link)
		return;
	*reported = (struct report_flows){
		.is_there = 1,
		.is_failing = link->state.is_failing != 0,
		.n_written = link->written_before + link->state.n_written,
		.n_unheard = lost > 0 ? (uint64_t)lost : 0,
		.n_unwritten = link->lost_before + link->state.n_lost,
	};
}
