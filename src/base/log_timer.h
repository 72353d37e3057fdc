/* For processes with an event loop of libevent's: what log_say_lost() is for. */
#pragma once

struct event;
struct event_base;

/* Says every LOG_RETRY_MS how many lines of the log were lost, if any were. Returns NULL without
 * memory; to be freed with event_free(). */
struct event *log_timer_new(struct event_base *base);
