/* The kernel's notices of changes, for who puts right what others change: where many come at once,
 * it is called once. */
#pragma once

#include <stdint.h>

struct event_base;
struct notice_watch;

/* 100 ms after the first notice of those that it has not been called for yet; and after the watch
 * was opened, as nobody tells of what was changed just before. */
typedef void notice_watch_fn(void *context);

/* protocol, groups: as for netlink_monitor_open(). Returns 0 or -errno. */
int notice_watch_open(struct event_base *base, int protocol, uint32_t groups,
	notice_watch_fn *changed, void *context, struct notice_watch **watch);
/* Has it called after so many milliseconds too, and no more at the time that was said before; 0: as
 * it is. NULL is fine. */
void notice_watch_call_in(struct notice_watch *watch, uint64_t ms);
/* NULL is fine. */
void notice_watch_close(struct notice_watch *watch);
