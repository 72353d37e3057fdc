/*
 * Hears from the kernel that an interface has gone, and has its endpoint inspected. Runs in the
 * broker's event loop.
 */
#include "server/device_watch.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/event.h"
#include "base/log.h"
#include "netlink/link_monitor.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/heal.h"
#include "server/inspection.h"

struct device_watch {
	struct data_plane *data_plane;
	const struct idle_rule *rule;
	struct link_monitor *monitor;
	struct event *readable;
};

/* The names tell which one it was: numbers may be others' by now, and notices may be lost. */
static void pass_over(void *context, unsigned int ifindex)
{
	(void)context;
	(void)ifindex;
}

/* One that is standby is not inspected. */
static void mend(const struct device_watch *watch, struct endpoint *endpoint)
{
	if (endpoint->state == ENDPOINT_OPEN)
		endpoint_inspect(endpoint, watch->rule);
	else if (endpoint->state == ENDPOINT_STANDBY)
		endpoint_heal(endpoint);
}

/* Its own interface, or the one that IPIP peers share. */
static bool lacks_interface(const struct device_watch *watch, const struct endpoint *endpoint)
{
	return if_nametoindex(plane_device_name(endpoint->config.index).s) == 0 ||
	       (watch->data_plane->config->ipip_mode == IPIP_SHARED &&
		       if_nametoindex(PLANE_SHARED_IPIP_NAME) == 0);
}

/* Whether it is truly gone is for the inspection to find out: an interface may have been moved. */
static void on_gone(evutil_socket_t fd, short what, void *context)
{
	struct device_watch *watch = context;
	struct endpoint *endpoint;

	(void)fd;
	(void)what;
	link_monitor_read(watch->monitor, pass_over, NULL);
	TAILQ_FOREACH (endpoint, &watch->data_plane->endpoints, entry)
		if (lacks_interface(watch, endpoint))
			mend(watch, endpoint);
}

int device_watch_new(struct event_base *base, struct data_plane *data_plane,
	const struct idle_rule *rule, struct device_watch **result)
{
	struct device_watch *watch = calloc(1, sizeof *watch);
	int error = watch ? link_monitor_open(&watch->monitor) : -ENOMEM;

	*result = watch;
	if (error == 0) {
		watch->data_plane = data_plane;
		watch->rule = rule;
		watch->readable = event_new(base, link_monitor_fd(watch->monitor),
			EV_READ | EV_PERSIST, on_gone, watch);
		if (!watch->readable || event_add(watch->readable, NULL) < 0)
			error = -ENOMEM;
	}
	if (error < 0)
		log_error("cannot watch for interfaces that vanish: %s", strerror(-error));
	return error;
}

void device_watch_free(struct device_watch *watch)
{
	if (!watch)
		return;
	free_event(watch->readable);
	link_monitor_close(watch->monitor);
	free(watch);
}
