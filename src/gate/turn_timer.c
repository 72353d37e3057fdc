/* Counts that the event loop turns, on the sheet that the broker sees too (ipc/gate_counts.h). Runs
 * in the gate's one thread, called by its events. */
#include "gate/turn_timer.h"

#include "base/clock.h"
#include "base/event.h"
#include "ipc/gate_counts.h"

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	gate_counts_turn(context);
}

struct event *turn_timer_new(struct event_base *base, struct gate_counts *counts)
{
	const struct timeval interval = timeval_from_ms(GATE_TURN_MS);
	struct event *timer = event_new(base, -1, EV_PERSIST, on_turn, counts);

	/* A gate that has much to do does not hang. */
	if (timer && event_priority_set(timer, 0) == 0 && event_add(timer, &interval) == 0)
		return timer;
	free_event(timer);
	return NULL;
}
