/* Starts a group of processes, and tries it again where that fails. Runs in the broker. */
#include "server/child_start.h"

#include <errno.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"

enum {
	RETRY_MS = 5000, /* after what they are given could not be opened, or they not started */
};

void child_start_try(struct child_start *start)
{
	const struct child_start_config *config = &start->config;
	const struct timeval delay = timeval_from_ms(RETRY_MS);
	int error = config->open(config->children.context);

	if (error == 0)
		error = child_group_new(start->base, &config->children, &start->group);
	if (error == 0 || !start->has_failed)
		config->say(config->children.context, error);
	if (error == 0)
		return;
	start->has_failed = true;
	evtimer_add(start->retry, &delay);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	child_start_try(context);
}

int child_start_init(
	struct child_start *start, struct event_base *base, const struct child_start_config *config)
{
	*start = (struct child_start){.config = *config, .base = base};
	start->retry = evtimer_new(base, on_retry, start);
	return start->retry ? 0 : -ENOMEM;
}

struct child *child_start_get(const struct child_start *start)
{
	return start->group ? child_group_get(start->group, 0) : NULL;
}

void child_start_free(struct child_start *start)
{
	child_group_free(start->group);
	free_event(start->retry);
	*start = (struct child_start){0};
}
