/* Has the broker see that the gate's event loop turns. */
#pragma once

struct event;
struct event_base;
struct gate_counts;

/* Counts there every GATE_TURN_MS, before all that is new. NULL: no memory. To be freed before the
 * counts are unmapped, which stay the caller's. */
struct event *turn_timer_new(struct event_base *base, struct gate_counts *counts);
