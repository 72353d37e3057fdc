/* Asks the signer, and wakes the handshakes that wait for it. Runs in the gate's one thread, called
 * by its events, and by the library in the middle of a handshake. */
#include "gate/signer_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/async.h>

#include "base/event.h"
#include "base/log.h"

enum {
	/* Handshakes in their job at a time, and so requests at the signer. It has work enough with
	   two, and with each comes a stack of 32 KB. */
	JOBS = 8,
};

/* One request. It lies on the stack of its handshake's job, which stays as it is until the job is
 * resumed. */
struct signer_call {
	struct signing_request *request;
	struct signer_waiter *waiter;
	uint8_t *signature;
	size_t length;
	int result; /* -EINPROGRESS until there is one */
	TAILQ_ENTRY(signer_call) entry;
};

struct signer_link {
	struct event_base *base;
	struct signer_events events;
	int fd; /* -1: there is none */
	struct event *readable;
	uint64_t last_id;
	struct signer_waiter *entered;
	unsigned int n_calls, n_waiters;
	TAILQ_HEAD(, signer_call) calls; /* in the order in which they were made */
	TAILQ_HEAD(, signer_waiter) waiters; /* for a job */
	struct event *job_free;
};

static void disconnect(struct signer_link *link)
{
	free_event(link->readable);
	link->readable = NULL;
	close(link->fd);
	link->fd = -1;
}

static void lose(struct signer_link *link, int error)
{
	log_debug("the signer is gone: %s", strerror(-error));
	disconnect(link);
	link->events.lost(link->events.context, error);
}

/* The socket has room for all that can be asked at a time: an error is the end of it, which its
 * event tells too. */
static void send_call(const struct signer_link *link, const struct signer_call *call)
{
	int error = link->fd >= 0 ? signing_send_request(link->fd, call->request) : 0;

	if (error < 0)
		log_debug("cannot ask the signer: %s", strerror(-error));
}

static struct signer_call *find(struct signer_link *link, uint64_t id)
{
	struct signer_call *call;

	TAILQ_FOREACH (call, &link->calls, entry)
		if (call->request->id == id)
			return call;
	return NULL;
}

static void on_reply(struct signer_link *link, const struct signing_reply *reply)
{
	struct signer_call *call = find(link, reply->id);

	if (!call)
		return; /* of a handshake that has not waited for it */
	call->result = reply->status == SIGNING_OK ? 0 : -EKEYREJECTED;
	call->length = reply->length;
	memcpy(call->signature, reply->signature, reply->length);
	call->waiter->resume(call->waiter);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct signer_link *link = context;
	struct signing_reply reply;

	(void)what;
	for (int i = 0; i < JOBS && link->fd == fd; i++) {
		if (i > 0 && link->n_calls == 0)
			return;
		int error = signing_receive_reply(fd, &reply);

		if (error == -EAGAIN || error == -EINTR)
			return;
		if (error < 0)
			lose(link, error);
		else
			on_reply(link, &reply);
	}
}

static void unqueue(struct signer_link *link, struct signer_waiter *waiter)
{
	TAILQ_REMOVE(&link->waiters, waiter, entry);
	waiter->is_queued = false;
	link->n_waiters--;
}

/* Those that wait for a job try again, each once: some may not need it for long. */
static void on_job_free(evutil_socket_t fd, short what, void *context)
{
	struct signer_link *link = context;

	(void)fd;
	(void)what;
	for (unsigned int n = link->n_waiters; n > 0 && link->n_calls < JOBS; n--) {
		struct signer_waiter *waiter = TAILQ_FIRST(&link->waiters);

		if (!waiter)
			return;
		unqueue(link, waiter);
		waiter->resume(waiter);
	}
}

struct signer_link *signer_link_new(struct event_base *base, const struct signer_events *events)
{
	struct signer_link *link = calloc(1, sizeof *link);

	if (!link)
		return NULL;
	link->base = base;
	link->events = *events;
	link->fd = -1;
	TAILQ_INIT(&link->calls);
	TAILQ_INIT(&link->waiters);
	link->job_free = event_new(base, -1, 0, on_job_free, link);
	if (link->job_free && ASYNC_init_thread(JOBS, JOBS) == 1)
		return link;
	free_event(link->job_free);
	free(link);
	errno = ENOMEM;
	return NULL;
}

void signer_link_free(struct signer_link *link)
{
	if (!link)
		return;
	if (link->fd >= 0)
		disconnect(link);
	free_event(link->job_free);
	ASYNC_cleanup_thread();
	free(link);
}

int signer_link_connect(struct signer_link *link, int fd)
{
	struct signer_call *call;

	if (link->fd >= 0)
		disconnect(link);
	link->fd = fd;
	link->readable = event_new(link->base, fd, EV_READ | EV_PERSIST, on_readable, link);
	/* What is almost done comes before what is new. */
	if (!link->readable || event_priority_set(link->readable, 0) < 0 ||
		event_add(link->readable, NULL) < 0) {
		disconnect(link);
		return -ENOMEM;
	}
	TAILQ_FOREACH (call, &link->calls, entry)
		send_call(link, call);
	link->events.connected(link->events.context);
	return 0;
}

void signer_link_enter(struct signer_link *link, struct signer_waiter *waiter)
{
	link->entered = waiter;
}

static void add_call(struct signer_link *link, struct signer_call *call)
{
	call->request->id = ++link->last_id;
	call->waiter->call = call;
	TAILQ_INSERT_TAIL(&link->calls, call, entry);
	link->n_calls++;
}

/* Not at once, for this is inside of the job that will be free. */
static void remove_call(struct signer_link *link, struct signer_call *call)
{
	TAILQ_REMOVE(&link->calls, call, entry);
	link->n_calls--;
	call->waiter->call = NULL;
	if (link->n_waiters > 0)
		event_active(link->job_free, EV_TIMEOUT, 0);
}

int signer_link_sign(struct signer_link *link, struct signing_request *request, uint8_t *signature,
	size_t *length)
{
	struct signer_call call = {
		.request = request,
		.waiter = link->entered,
		.signature = signature,
		.result = -EINPROGRESS,
	};

	if (!call.waiter || !ASYNC_get_current_job())
		return -EINVAL;
	add_call(link, &call);
	send_call(link, &call);
	while (call.result == -EINPROGRESS && ASYNC_pause_job() == 1)
		;
	remove_call(link, &call);
	*length = call.length;
	return call.result;
}

void signer_link_wait_for_job(struct signer_link *link, struct signer_waiter *waiter)
{
	waiter->is_queued = true;
	TAILQ_INSERT_TAIL(&link->waiters, waiter, entry);
	link->n_waiters++;
}

bool signer_link_is_waiting(const struct signer_waiter *waiter)
{
	return waiter->call || waiter->is_queued;
}

bool signer_link_cancel(struct signer_link *link, struct signer_waiter *waiter)
{
	if (waiter->is_queued)
		unqueue(link, waiter);
	if (!waiter->call)
		return false;
	waiter->call->result = -ECANCELED;
	return true;
}
