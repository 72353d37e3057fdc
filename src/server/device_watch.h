/*
 * Notices at once when an endpoint's interface has vanished: somebody has deleted it, or its device
 * process has died and it went along. The next inspection would notice too, seconds later.
 */
#pragma once

struct data_plane;
struct device_watch;
struct event_base;
struct idle_rule;

/* Both must outlive the watch. Logs. Returns 0 or -errno. */
int device_watch_new(struct event_base *base, struct data_plane *data_plane,
	const struct idle_rule *rule, struct device_watch **watch);
/* NULL is fine. */
void device_watch_free(struct device_watch *watch);
