/*
 * Reads where new WireGuard peers are, soon after they have asked and again until they have shaken
 * hands. Runs in the broker, by a timer of its own.
 */
#include "server/newcomers.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "server/endpoint.h"
#include "server/usage.h"

enum {
	/* A client that has its answer sets up its interface and shakes hands. */
	FIRST_MS = 200,
	/* By then an inspection has come, or comes about as soon. */
	LAST_MS = 3200,
	/* Reading 10,000 peers takes a while: no more than a twentieth of the broker's time. */
	SHARE = 20,
};

static bool is_scheduled(const struct newcomers *newcomers)
{
	return event_pending(newcomers->timer, EV_TIMEOUT, NULL);
}

/* Never later than it was to be read anyway: else newcomers without end would put it off for ever.
 */
static void schedule(struct newcomers *newcomers)
{
	uint64_t now_ms = clock_now_ms(newcomers->endpoint->clock);
	uint64_t least_ms = newcomers->endpoint->read_took_ms * SHARE;
	uint64_t delay_ms = newcomers->delay_ms > least_ms ? newcomers->delay_ms : least_ms;
	struct timeval delay = timeval_from_ms(delay_ms);

	if (!newcomers->timer)
		return;
	if (is_scheduled(newcomers) && newcomers->due_ms <= now_ms + delay_ms)
		return;
	newcomers->due_ms = now_ms + delay_ms;
	event_add(newcomers->timer, &delay);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct newcomers *newcomers = context;

	(void)fd;
	(void)what;
	usage_request(newcomers->endpoint, &newcomers->waiter);
}

static void on_reading(void *context, int error)
{
	struct newcomers *newcomers = context;

	if (newcomers_judge(newcomers, error))
		schedule(newcomers);
}

int newcomers_init(struct newcomers *newcomers, struct endpoint *endpoint, struct event_base *base)
{
	*newcomers = (struct newcomers){
		.endpoint = endpoint, .waiter = {.done = on_reading, .context = newcomers}};
	if (!base)
		return 0;
	newcomers->timer = evtimer_new(base, on_timer, newcomers);
	return newcomers->timer ? 0 : -ENOMEM;
}

void newcomers_free(struct newcomers *newcomers)
{
	if (newcomers->endpoint)
		usage_cancel(newcomers->endpoint, &newcomers->waiter);
	free_event(newcomers->timer);
	newcomers->timer = NULL;
}

void newcomers_add(struct newcomers *newcomers, struct peer *peer)
{
	if (peer->id.kind != PEER_WIREGUARD)
		return;
	peers_set_new(&newcomers->endpoint->peers, peer, true);
	newcomers->delay_ms = FIRST_MS;
	schedule(newcomers);
}

bool newcomers_judge(struct newcomers *newcomers, int error)
{
	/* What cannot be read now is the inspection's to deal with. */
	if (error < 0)
		return false;
	newcomers->delay_ms *= 2;
	return newcomers->delay_ms <= LAST_MS && newcomers->endpoint->peers.n_new > 0;
}
