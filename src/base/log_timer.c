/* Calls log_say_lost() now and then. Runs in the event loops of broker, gates and client. A timer
 * and not an event of the descriptor: a file has none. */
#include "base/log_timer.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
	log_say_lost();
}

struct event *log_timer_new(struct event_base *base)
{
	const struct timeval interval = timeval_from_ms(LOG_RETRY_MS);
	struct event *timer = event_new(base, -1, EV_PERSIST, on_timer, NULL);

	if (timer && event_add(timer, &interval) == 0)
		return timer;
	free_event(timer);
	return NULL;
}
