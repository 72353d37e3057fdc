/*
 * Reads from the data plane what the peers of an endpoint have used. Runs in the broker's event
 * loop: an event for each piece.
 */
#include "server/usage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "base/log.h"
#include "server/endpoint.h"
#include "server/promises.h"

enum {
	/* One that takes longer is not going to end. */
	LONGEST_MS = 30000,
	REFRESH_SHARE = 20,
};

/* What has moved since; counters that were set back have begun at 0. */
static uint64_t moved(uint64_t before, uint64_t now)
{
	return now < before ? now : now - before;
}

/* Of those whose place was known before. */
static bool has_moved(const struct plane_usage *before, const struct plane_usage *now)
{
	return before->outer.value != 0 && now->outer.value != 0 &&
	       !ipv4_equal(before->outer, now->outer);
}

static int record_peer(void *context, const struct plane_peer *id, const struct plane_usage *usage)
{
	struct endpoint *endpoint = context;
	struct peer *peer = peers_find(&endpoint->peers, id);

	if (peer) {
		peer->last_reading = endpoint->reading;
		endpoint->received += moved(peer->usage.received, usage->received);
		endpoint->sent += moved(peer->usage.sent, usage->sent);
		endpoint->counts[REPORT_COUNTED_MOVED] += has_moved(&peer->usage, usage);
		peers_record_usage(&endpoint->peers, peer, usage, endpoint->usage.began_ms);
		promise_peer_again(endpoint, peer, endpoint->usage.began_ms);
	}
	return 0;
}

static void begin(struct endpoint *endpoint)
{
	endpoint->reading++;
	endpoint->usage.began_ms = clock_now_ms(endpoint->clock);
	endpoint->usage.began_us = clock_stopwatch_us();
}

static void succeed(struct endpoint *endpoint)
{
	endpoint_record_time(endpoint, REPORT_OF_READ, endpoint->usage.began_us);
	endpoint->read_ms = endpoint->usage.began_ms;
	endpoint->read_took_ms = clock_now_ms(endpoint->clock) - endpoint->read_ms;
}

int usage_read(struct endpoint *endpoint)
{
	int error = -ENODEV;

	begin(endpoint);
	if (endpoint->device)
		error = plane_dump(endpoint->device, record_peer, endpoint);
	if (error == 0)
		succeed(endpoint);
	return error;
}

static void end_reading(struct usage_reader *usage)
{
	free_event(usage->readable);
	usage->readable = NULL;
	if (usage->reading)
		usage->reading->end(usage->reading);
	usage->reading = NULL;
}

/* They come in the order in which they have asked. One that is told may ask for the next reading,
 * or have others not wait any more. */
static void tell_waiters(struct endpoint *endpoint, int error)
{
	struct usage_reader *usage = &endpoint->usage;
	const uint64_t last = usage->n_asked;
	struct usage_waiter *waiter;

	while ((waiter = TAILQ_FIRST(&usage->waiters)) && waiter->asked <= last) {
		usage_cancel(endpoint, waiter);
		waiter->done(waiter->context, error);
	}
}

static void finish(struct endpoint *endpoint, int error)
{
	end_reading(&endpoint->usage);
	if (error == 0)
		succeed(endpoint);
	tell_waiters(endpoint, error);
}

/* A device that hangs says nothing of it. */
static int time_out(const struct endpoint *endpoint)
{
	snprintf(endpoint->plane->error, sizeof endpoint->plane->error, "read peers: %s",
		strerror(ETIMEDOUT));
	return -ETIMEDOUT;
}

static int await_piece(struct endpoint *endpoint);

static void on_piece(evutil_socket_t fd, short what, void *context)
{
	struct endpoint *endpoint = context;
	struct usage_reader *usage = &endpoint->usage;
	/* Both where others have had the broker's time for so long: then the piece is there. */
	int result = what & EV_READ ? usage->reading->next(usage->reading) : time_out(endpoint);

	(void)fd;
	if (result > 0 && clock_now_ms(endpoint->clock) - usage->began_ms > LONGEST_MS)
		result = time_out(endpoint);
	if (result > 0 && usage->reading->fd != usage->fd)
		result = await_piece(endpoint);
	if (result <= 0)
		finish(endpoint, result);
}

/* Returns 1, or -ENOMEM. */
static int await_piece(struct endpoint *endpoint)
{
	static const struct timeval silence = {.tv_sec = PLANE_SILENCE_MS / 1000};
	struct usage_reader *usage = &endpoint->usage;

	free_event(usage->readable);
	usage->fd = usage->reading->fd;
	usage->readable =
		event_new(usage->base, usage->fd, EV_READ | EV_PERSIST, on_piece, endpoint);
	return usage->readable && event_add(usage->readable, &silence) == 0 ? 1 : -ENOMEM;
}

static int begin_reading(struct endpoint *endpoint)
{
	struct usage_reader *usage = &endpoint->usage;
	int error = -ENODEV;

	begin(endpoint);
	if (endpoint->device)
		error = endpoint->plane->ops->read(
			endpoint->device, record_peer, endpoint, &usage->reading);
	if (error < 0) {
		usage->reading = NULL;
		return error;
	}
	return await_piece(endpoint);
}

/* The next inspection logs why it cannot be read. */
static void on_refreshed(void *context, int error)
{
	const struct endpoint *endpoint = context;

	if (error < 0)
		log_debug("%s: cannot read what its peers have used", endpoint_text(endpoint).s);
}

void usage_init(struct endpoint *endpoint, struct event_base *base)
{
	endpoint->usage = (struct usage_reader){.base = base, .refresh.done = on_refreshed};
	endpoint->usage.refresh.context = endpoint;
	TAILQ_INIT(&endpoint->usage.waiters);
}

void usage_request(struct endpoint *endpoint, struct usage_waiter *waiter)
{
	struct usage_reader *usage = &endpoint->usage;
	int result;

	if (waiter->asked > 0)
		return;
	if (!usage->base) {
		waiter->done(waiter->context, usage_read(endpoint));
		return;
	}
	waiter->asked = ++usage->n_asked;
	TAILQ_INSERT_TAIL(&usage->waiters, waiter, entry);
	if (usage->reading)
		return;
	result = begin_reading(endpoint);
	if (result < 0)
		finish(endpoint, result);
}

void usage_cancel(struct endpoint *endpoint, struct usage_waiter *waiter)
{
	if (waiter->asked > 0)
		TAILQ_REMOVE(&endpoint->usage.waiters, waiter, entry);
	waiter->asked = 0;
}

void usage_abandon(struct endpoint *endpoint)
{
	if (!endpoint->usage.reading)
		return;
	end_reading(&endpoint->usage);
	tell_waiters(endpoint, -ECANCELED);
}

bool usage_is_old(const struct endpoint *endpoint, uint64_t period_ms)
{
	uint64_t age_ms = clock_now_ms(endpoint->clock) - endpoint->read_ms;

	return age_ms >= period_ms && age_ms >= REFRESH_SHARE * endpoint->read_took_ms;
}

void usage_refresh(struct endpoint *endpoint, uint64_t period_ms, uint64_t longest_ms)
{
	if (!usage_is_old(endpoint, period_ms))
		return;
	if (endpoint->read_took_ms > longest_ms)
		usage_request(endpoint, &endpoint->usage.refresh);
	else
		on_refreshed(endpoint, usage_read(endpoint));
}
