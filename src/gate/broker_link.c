/* Sends requests to the broker, and matches its answers with them by their ids. Runs in the gate's
 * one thread, called by its events. */
#include "gate/broker_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"

enum {
	REPLIES_AT_ONCE = 64, /* before others have their turn */
	RETRY_MS = 10, /* where too many descriptors are on their way, and no event says when not */
};

struct broker_link {
	int fd;
	struct event *readable, *writable, *retry;
	struct broker_events events;
	bool lost;
	uint64_t last_id;
	unsigned int outstanding; /* also those that nobody waits for any more */
	unsigned int max_outstanding;
	struct hash_table calls; /* by id; the queued ones too */
	struct fair_queue queue;
};

static bool has_id(const struct hash_node *node, const void *key)
{
	uint64_t id;

	memcpy(&id, key, sizeof id);
	return hash_entry(node, struct broker_call, node)->request.id == id;
}

static void end(struct broker_link *link, int error)
{
	if (link->lost)
		return;
	link->lost = true;
	event_del(link->readable);
	event_del(link->writable);
	event_del(link->retry);
	link->events.lost(link->events.context, error);
}

/* Waits until there is room for another request. */
static void wait_for_room(struct broker_link *link, int error)
{
	static const struct timeval delay = {0, RETRY_MS * 1000};

	if (error == -ETOOMANYREFS)
		evtimer_add(link->retry, &delay);
	else
		event_add(link->writable, NULL);
}

static bool is_for_now(int error)
{
	return error == -EAGAIN || error == -ENOBUFS || error == -EINTR || error == -ETOOMANYREFS;
}

static struct broker_call *next_call(const struct broker_link *link)
{
	struct fair_item *item = fair_queue_first(&link->queue);

	return item ? hash_entry(item, struct broker_call, waiting) : NULL;
}

/* Sends what is queued, whose turn it is, as long as the socket has room. */
static void flush(struct broker_link *link)
{
	struct broker_call *call;

	while (!link->lost && link->outstanding < link->max_outstanding &&
		(call = next_call(link))) {
		int error = ipc_send_request(link->fd, &call->request, call->client);

		if (is_for_now(error)) {
			wait_for_room(link, error);
			return;
		}
		if (error < 0) {
			end(link, error);
			return;
		}
		fair_queue_take(&link->queue, &call->waiting);
		link->outstanding++;
	}
}

static void on_answer(struct broker_link *link, const struct ipc_reply *reply)
{
	struct hash_node *node = hash_find(&link->calls, &reply->id, sizeof reply->id, has_id);
	bool was_asked = reply->id > 0 && reply->id <= link->last_id;

	if (was_asked && link->outstanding > 0)
		link->outstanding--;
	if (!node && was_asked) {
		log_debug("the broker's answer to request %llu comes when nobody waits for it",
			(unsigned long long)reply->id);
	} else if (!node) {
		log_warning("the broker answers request %llu, which was never made",
			(unsigned long long)reply->id);
	} else {
		struct broker_call *call = hash_entry(node, struct broker_call, node);

		broker_link_forget(link, call);
		call->answered(call, reply);
	}
	flush(link);
}

static void on_message(struct broker_link *link, const struct ipc_reply *reply, int descriptor)
{
	const struct broker_events *events = &link->events;

	switch ((enum ipc_reply_kind)reply->kind) {
	case IPC_DRAIN:
	case IPC_HAND_OVER:
		return events->drain(events->context, reply->kind == IPC_HAND_OVER);
	case IPC_SIGNER:
		return events->signer(events->context, descriptor);
	case IPC_ENDPOINT:
		return events->endpoint(events->context, &reply->endpoint, descriptor);
	case IPC_ENDPOINT_GONE:
		return events->endpoint_gone(events->context, reply->endpoint.bind);
	case IPC_TOKENS:
		return events->tokens(events->context, descriptor);
	case IPC_LIVE_SETTINGS:
		return events->live_settings(events->context, &reply->live);
	default:
		return on_answer(link, reply);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct broker_link *link = context;
	struct ipc_reply reply;
	int descriptor;

	(void)what;
	for (int i = 0; i < REPLIES_AT_ONCE && !link->lost; i++) {
		/* What is not an answer may wait for the next turn. */
		if (i > 0 && link->outstanding == 0)
			return;
		int error = ipc_receive_reply(fd, &reply, &descriptor);

		if (error == -EAGAIN || error == -EINTR)
			return;
		if (error < 0)
			end(link, error);
		else
			on_message(link, &reply, descriptor);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	flush(context);
}

struct broker_link *broker_link_new(struct event_base *base, int fd, unsigned int max_outstanding,
	const struct broker_events *events)
{
	struct broker_link *link = calloc(1, sizeof *link);

	if (!link)
		return NULL;
	errno = 0;
	link->fd = fd;
	link->events = *events;
	link->max_outstanding = max_outstanding;
	fair_queue_init(&link->queue);
	link->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, link);
	link->writable = event_new(base, fd, EV_WRITE, on_writable, link);
	link->retry = evtimer_new(base, on_writable, link);
	/* What is almost done comes before what is new. */
	if (!link->readable || !link->writable || !link->retry ||
		event_priority_set(link->readable, 0) < 0 || hash_init(&link->calls) < 0 ||
		evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0 ||
		event_add(link->readable, NULL) < 0) {
		int error = errno ? errno : ENOMEM;

		broker_link_free(link);
		errno = error;
		return NULL;
	}
	return link;
}

void broker_link_free(struct broker_link *link)
{
	if (!link)
		return;
	free_event(link->readable);
	free_event(link->writable);
	free_event(link->retry);
	hash_free(&link->calls);
	close(link->fd);
	free(link);
}

void broker_link_ask(struct broker_link *link, struct broker_call *call)
{
	call->request.id = ++link->last_id;
	hash_insert(&link->calls, &call->node, &call->request.id, sizeof call->request.id);
	fair_queue_add(&link->queue, call->lane, &call->waiting);
	/* Behind others that wait for the socket, it waits too. */
	if (next_call(link) == call)
		flush(link);
}

/* What is lost shows when it is read from next. */
int broker_link_tell(struct broker_link *link, const struct ipc_request *request)
{
	int error = link->lost ? -EPIPE : ipc_send_request(link->fd, request, -1);

	return error < 0 && is_for_now(error) ? -EAGAIN : error;
}

void broker_link_forget(struct broker_link *link, struct broker_call *call)
{
	hash_remove(&link->calls, &call->node);
	fair_queue_forget(&link->queue, &call->waiting);
}
