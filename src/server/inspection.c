/*
 * The inspection of an endpoint. Runs in the broker, at every reap interval, and at once when an
 * interface has vanished: a reading in pieces, and then its peers, some at a time.
 */
#include "server/inspection.h"

#include <errno.h>

#include <event2/event.h>

#include "base/event.h"
#include "base/log.h"
#include "server/endpoint.h"
#include "server/heal.h"
#include "server/peer_walk.h"
#include "server/removals.h"
#include "server/owed.h"
#include "server/usage.h"

/* Not being in the reading is a hint only: an address is free when the lookup says "no such
 * device". */
static bool has_vanished(const struct inspection *inspection, const struct peer *peer)
{
	const struct endpoint *endpoint = inspection->endpoint;

	return peer->id.kind == PEER_IPIP && !peer->is_owed &&
	       peer->last_reading < inspection->reading &&
	       endpoint->plane->ops->check(endpoint->device, &peer->id) == -ENODEV;
}

/* The device may have been given up since the last slice. */
static void remove_if_due(void *context, struct peer *peer)
{
	const struct inspection *inspection = context;
	struct removals *removals = &inspection->endpoint->removals;

	if (peer->removal || !inspection->endpoint->device)
		return;
	if (peer->is_unmade)
		removals_add(removals, peer, &removal_unmade, NULL);
	else if (has_vanished(inspection, peer))
		removals_add(removals, peer, &removal_vanished, NULL);
	else if (peer_is_idle(peer, inspection->rule, inspection->read_ms))
		removals_add(removals, peer, &removal_idle, NULL);
}

static void finish(void *context)
{
	struct inspection *inspection = context;

	inspection->runs = false;
	if (!inspection->is_asked_again)
		return;
	inspection->is_asked_again = false;
	endpoint_inspect(inspection->endpoint, inspection->rule);
}

int endpoint_put_right(const struct endpoint *endpoint, unsigned int longest_ms)
{
	int result = endpoint->plane->ops->reconcile(endpoint->device, longest_ms);

	if (result < 0)
		log_warning("%s: cannot put right what others have changed, will try again: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	return result;
}

/* The device may have been given up since the last slice. */
static void go_on(struct inspection *inspection)
{
	static const struct timeval at_once;
	struct endpoint *endpoint = inspection->endpoint;
	const unsigned int longest_ms = inspection->timer ? PEER_WALK_SLICE_MS : PLANE_AT_ONCE;

	if (endpoint->device && endpoint_put_right(endpoint, longest_ms) > 0) {
		event_add(inspection->timer, &at_once);
		return;
	}
	if (endpoint->device)
		owed_make(endpoint);
	peer_walk_begin(&inspection->walk, endpoint);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	go_on(context);
}

static void on_reading(void *context, int error)
{
	struct inspection *inspection = context;
	struct endpoint *endpoint = inspection->endpoint;

	if (error == 0) {
		inspection->reading = endpoint->reading;
		inspection->read_ms = endpoint->read_ms;
		go_on(inspection);
		return;
	}
	/* Who gives the device up is about to make it again. */
	if (error == -ECANCELED) {
		inspection->runs = inspection->is_asked_again = false;
		return;
	}
	if (error == -ENODEV)
		endpoint_heal(endpoint);
	else
		log_warning("%s: cannot look for idle peers, will try again: %s",
			endpoint_text(endpoint).s, plane_error(endpoint->plane));
	finish(inspection);
}

int inspection_init(
	struct inspection *inspection, struct endpoint *endpoint, struct event_base *base)
{
	*inspection = (struct inspection){
		.endpoint = endpoint, .waiter = {.done = on_reading, .context = inspection}};
	if (peer_walk_init(&inspection->walk, base, remove_if_due, finish, inspection) < 0)
		return -ENOMEM;
	if (!base)
		return 0;
	inspection->timer = evtimer_new(base, on_timer, inspection);
	return inspection->timer ? 0 : -ENOMEM;
}

void inspection_free(struct inspection *inspection)
{
	if (inspection->endpoint)
		usage_cancel(inspection->endpoint, &inspection->waiter);
	free_event(inspection->timer);
	peer_walk_free(&inspection->walk);
	*inspection = (struct inspection){0};
}

void endpoint_inspect(struct endpoint *endpoint, const struct idle_rule *rule)
{
	struct inspection *inspection = &endpoint->inspection;

	inspection->rule = rule;
	if (inspection->runs) {
		inspection->is_asked_again = true;
		return;
	}
	inspection->runs = true;
	usage_request(endpoint, &inspection->waiter);
}
