/* The queues of what gates are told of endpoints and settings. Runs in the broker's event loop. */
#include "server/gate_notices.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "ipc/message.h"

enum {
	AT_ONCE = 16, /* to one gate */
	PAUSE_MS = 10, /* for those that are left */
};

struct notice {
	struct ipc_reply reply;
	int descriptor; /* -1: none goes along */
	TAILQ_ENTRY(notice) entry;
};

TAILQ_HEAD(notice_queue, notice);

struct gate_notices {
	struct event *timer;
	gate_notices_send_fn *send;
	void *context;
	unsigned int n_gates;
	struct notice_queue queues[];
};

static void drop(struct notice_queue *queue, struct notice *notice)
{
	TAILQ_REMOVE(queue, notice, entry);
	explicit_bzero(notice, sizeof *notice); /* there may be digests in it */
	free(notice);
}

static void send_to(struct gate_notices *notices, unsigned int gate)
{
	struct notice_queue *queue = &notices->queues[gate];
	struct notice *notice;

	for (int i = 0; i < AT_ONCE && (notice = TAILQ_FIRST(queue)); i++) {
		if (notices->send(notices->context, gate, &notice->reply, notice->descriptor) ==
			-EAGAIN)
			return;
		/* Sending may have had the gate ended, and all of this forgotten. */
		if (TAILQ_FIRST(queue) == notice)
			drop(queue, notice);
	}
}

static void send_all(struct gate_notices *notices)
{
	const struct timeval pause = timeval_from_ms(PAUSE_MS);
	bool is_left = false;

	for (unsigned int gate = 0; gate < notices->n_gates; gate++) {
		send_to(notices, gate);
		is_left = is_left || !TAILQ_EMPTY(&notices->queues[gate]);
	}
	if (is_left)
		event_add(notices->timer, &pause);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	send_all(context);
}

int gate_notices_new(struct event_base *base, unsigned int n_gates, gate_notices_send_fn *send,
	void *context, struct gate_notices **result)
{
	struct gate_notices *notices =
		calloc(1, sizeof *notices + n_gates * sizeof *notices->queues);

	if (!notices)
		return -ENOMEM;
	notices->send = send;
	notices->context = context;
	notices->n_gates = n_gates;
	for (unsigned int gate = 0; gate < n_gates; gate++)
		TAILQ_INIT(&notices->queues[gate]);
	notices->timer = evtimer_new(base, on_timer, notices);
	*result = notices;
	return notices->timer ? 0 : -ENOMEM;
}

void gate_notices_free(struct gate_notices *notices)
{
	if (!notices)
		return;
	for (unsigned int gate = 0; gate < notices->n_gates; gate++)
		gate_notices_forget(notices, gate);
	free_event(notices->timer);
	free(notices);
}

static int append(struct notice_queue *queue, const struct ipc_reply *reply, int descriptor)
{
	struct notice *notice = malloc(sizeof *notice);

	if (!notice)
		return -ENOMEM;
	*notice = (struct notice){.reply = *reply, .descriptor = descriptor};
	TAILQ_INSERT_TAIL(queue, notice, entry);
	return 0;
}

int gate_notices_endpoint(
	struct gate_notices *notices, const struct gate_endpoint *endpoint, int listener)
{
	const struct ipc_reply reply = {
		.version = IPC_VERSION, .kind = IPC_ENDPOINT, .endpoint = *endpoint};
	int error = 0;

	for (unsigned int gate = 0; gate < notices->n_gates && error == 0; gate++)
		error = append(&notices->queues[gate], &reply, listener);
	send_all(notices);
	return error;
}

/* One that a gate has not been told of yet has no socket any more. Returns whether there was one.
 */
static bool take_back(struct notice_queue *queue, struct ipv4 bind)
{
	struct notice *notice;

	TAILQ_FOREACH (notice, queue, entry)
		if (notice->reply.kind == IPC_ENDPOINT &&
			ipv4_equal(notice->reply.endpoint.bind, bind)) {
			drop(queue, notice);
			return true;
		}
	return false;
}

int gate_notices_gone(struct gate_notices *notices, struct ipv4 bind)
{
	const struct ipc_reply reply = {
		.version = IPC_VERSION, .kind = IPC_ENDPOINT_GONE, .endpoint = {.bind = bind}};
	int error = 0;

	for (unsigned int gate = 0; gate < notices->n_gates; gate++) {
		struct notice_queue *queue = &notices->queues[gate];

		if (!take_back(queue, bind) && error == 0)
			error = append(queue, &reply, -1);
	}
	send_all(notices);
	return error;
}

static void take_back_kind(struct notice_queue *queue, enum ipc_reply_kind kind)
{
	struct notice *notice;

	TAILQ_FOREACH (notice, queue, entry)
		if (notice->reply.kind == kind) {
			drop(queue, notice);
			return;
		}
}

int gate_notices_live(struct gate_notices *notices, const struct live_settings *live)
{
	struct ipc_reply reply = {.version = IPC_VERSION, .kind = IPC_LIVE_SETTINGS, .live = *live};
	int error = 0;

	for (unsigned int gate = 0; gate < notices->n_gates && error == 0; gate++) {
		take_back_kind(&notices->queues[gate], IPC_LIVE_SETTINGS);
		error = append(&notices->queues[gate], &reply, -1);
	}
	explicit_bzero(&reply, sizeof reply);
	send_all(notices);
	return error;
}

int gate_notices_tokens(struct gate_notices *notices, int fd)
{
	const struct ipc_reply reply = {.version = IPC_VERSION, .kind = IPC_TOKENS};
	int error = 0;

	/* Those of before are closed by the caller, whatever fails here. */
	for (unsigned int gate = 0; gate < notices->n_gates; gate++) {
		take_back_kind(&notices->queues[gate], IPC_TOKENS);
		if (error == 0)
			error = append(&notices->queues[gate], &reply, fd);
	}
	send_all(notices);
	return error;
}

void gate_notices_forget(struct gate_notices *notices, unsigned int gate)
{
	struct notice_queue *queue = &notices->queues[gate];

	while (!TAILQ_EMPTY(queue))
		drop(queue, TAILQ_FIRST(queue));
}
