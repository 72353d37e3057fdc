/*
 * The queue of an endpoint's requests that wait for an address. Runs in the broker's event loop.
 */
#include "server/pending_connects.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "server/peer_events.h"

static uint64_t now_ms(const struct pending_connects *pending)
{
	return clock_now_ms(pending->endpoint->clock);
}

/* All wait for the same time, so the first one's time is up first. */
static void schedule(struct pending_connects *pending)
{
	const struct pending_connect *first = TAILQ_FIRST(&pending->queue);
	uint64_t now = now_ms(pending);
	struct timeval delay;

	if (!pending->timer || !first)
		return;
	delay = timeval_from_ms(first->deadline_ms > now ? first->deadline_ms - now : 0);
	event_add(pending->timer, &delay);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	pending_connects_expire(context);
	schedule(context);
}

int pending_connects_init(
	struct pending_connects *pending, struct endpoint *endpoint, struct event_base *base)
{
	*pending = (struct pending_connects){.endpoint = endpoint};
	TAILQ_INIT(&pending->queue);
	if (!base)
		return 0;
	pending->timer = evtimer_new(base, on_timer, pending);
	return pending->timer ? 0 : -ENOMEM;
}

void pending_connects_free(struct pending_connects *pending)
{
	struct pending_connect *first;

	/* An endpoint that was never opened has no queue. */
	if (!pending->endpoint)
		return;
	while ((first = TAILQ_FIRST(&pending->queue)))
		pending_connects_remove(pending, first);
	free_event(pending->timer);
	pending->timer = NULL;
}

int pending_connects_add(struct pending_connects *pending, const struct client_request *request,
	const struct reply_to *reply_to)
{
	struct pending_connect *connect;

	connect = malloc(sizeof *connect);
	if (!connect)
		return -ENOMEM;
	*connect = (struct pending_connect){
		.request = *request,
		.reply_to = *reply_to,
		.deadline_ms = now_ms(pending) + PENDING_CONNECT_MS,
	};
	TAILQ_INSERT_TAIL(&pending->queue, connect, entry);
	pending->n++;
	schedule(pending);
	return 0;
}

struct pending_connect *pending_connects_first(const struct pending_connects *pending)
{
	return TAILQ_FIRST(&pending->queue);
}

void pending_connects_remove(struct pending_connects *pending, struct pending_connect *connect)
{
	TAILQ_REMOVE(&pending->queue, connect, entry);
	pending->n--;
	free(connect);
}

static void refuse(
	struct pending_connects *pending, struct pending_connect *connect, enum ipc_status status)
{
	struct endpoint *endpoint = pending->endpoint;

	peer_events_refused(endpoint, &connect->request, NULL, status);
	endpoint->answer(endpoint->answer_context, &connect->reply_to, status, (struct ipv4){0});
	pending_connects_remove(pending, connect);
}

void pending_connects_refuse(struct pending_connects *pending, enum ipc_status status)
{
	struct pending_connect *first;

	while ((first = TAILQ_FIRST(&pending->queue)))
		refuse(pending, first, status);
}

void pending_connects_expire(struct pending_connects *pending)
{
	uint64_t now = now_ms(pending);
	struct pending_connect *first;
	size_t n = 0;

	for (; (first = TAILQ_FIRST(&pending->queue)) && first->deadline_ms <= now; n++)
		refuse(pending, first, IPC_POOL_EXHAUSTED);
	if (n > 0)
		log_warning("%s: no address for %zu new peers: those that were freed last cannot "
			    "be given out yet",
			endpoint_text(pending->endpoint).s, n);
}

static bool is_of_peer(
	const struct pending_connect *connect, const struct client_request *disconnect)
{
	if (disconnect->operation == IPC_DISCONNECT_WIREGUARD)
		return connect->request.operation == IPC_CONNECT_WIREGUARD &&
		       key_equal(&connect->request.key, &disconnect->key);
	return connect->request.operation == IPC_CONNECT_IPIP &&
	       ipv4_equal(connect->request.source, disconnect->source);
}

void pending_connects_cancel(
	struct pending_connects *pending, const struct client_request *disconnect)
{
	struct pending_connect *connect = TAILQ_FIRST(&pending->queue), *next;

	for (; connect; connect = next) {
		next = TAILQ_NEXT(connect, entry);
		if (is_of_peer(connect, disconnect))
			refuse(pending, connect, IPC_POOL_EXHAUSTED);
	}
}

void pending_connects_forget_gate(
	struct pending_connects *pending, unsigned int gate, uint64_t generation)
{
	struct pending_connect *connect = TAILQ_FIRST(&pending->queue), *next;

	for (; connect; connect = next) {
		next = TAILQ_NEXT(connect, entry);
		if (connect->reply_to.gate == gate && connect->reply_to.generation == generation)
			pending_connects_remove(pending, connect);
	}
}
