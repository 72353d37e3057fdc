/* Reads the kernel's notices, and gathers them for a moment. Runs in the client's one thread,
 * called by its events. */
#include "client/notice_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "netlink/monitor.h"

enum { SETTLE_MS = 100 };

struct notice_watch {
	notice_watch_fn *changed;
	void *context;
	int monitor;
	struct event *readable, *settled, *called;
};

static void on_settled(evutil_socket_t fd, short what, void *context)
{
	const struct notice_watch *watch = context;

	(void)fd;
	(void)what;
	watch->changed(watch->context);
}

static void ignore(void *context, const struct nlmsghdr *message)
{
	(void)context;
	(void)message;
}

static int call_in(struct event *timer, uint64_t ms)
{
	const struct timeval time = timeval_from_ms(ms);

	return event_add(timer, &time) == 0 ? 0 : -ENOMEM;
}

/* What is lost of many is made up for: all is read again after the first. */
static void on_notice(evutil_socket_t fd, short what, void *context)
{
	struct notice_watch *watch = context;

	(void)what;
	netlink_monitor_read(fd, ignore, NULL);
	if (!event_pending(watch->settled, EV_TIMEOUT, NULL))
		call_in(watch->settled, SETTLE_MS);
}

static int begin(struct notice_watch *watch, struct event_base *base, int protocol, uint32_t groups)
{
	watch->monitor = netlink_monitor_open(protocol, groups);
	if (watch->monitor < 0)
		return watch->monitor;
	watch->readable = event_new(base, watch->monitor, EV_READ | EV_PERSIST, on_notice, watch);
	watch->settled = evtimer_new(base, on_settled, watch);
	watch->called = evtimer_new(base, on_settled, watch);
	if (!watch->readable || !watch->settled || !watch->called ||
		event_add(watch->readable, NULL) < 0)
		return -ENOMEM;
	return call_in(watch->settled, SETTLE_MS);
}

int notice_watch_open(struct event_base *base, int protocol, uint32_t groups,
	notice_watch_fn *changed, void *context, struct notice_watch **result)
{
	struct notice_watch *watch = malloc(sizeof *watch);
	int error;

	if (!watch)
		return -ENOMEM;
	*watch = (struct notice_watch){.changed = changed, .context = context, .monitor = -1};
	error = begin(watch, base, protocol, groups);
	if (error < 0) {
		notice_watch_close(watch);
		return error;
	}
	*result = watch;
	return 0;
}

void notice_watch_call_in(struct notice_watch *watch, uint64_t ms)
{
	if (watch && ms > 0)
		call_in(watch->called, ms);
}

void notice_watch_close(struct notice_watch *watch)
{
	if (!watch)
		return;
	free_event(watch->readable);
	free_event(watch->settled);
	free_event(watch->called);
	if (watch->monitor >= 0)
		close(watch->monitor);
	free(watch);
}
