/* Events of libevent, for those who own some. */
#pragma once

#include <event2/event.h>

/* NULL is fine. */
static inline void free_event(struct event *event)
{
	if (event)
		event_free(event);
}
