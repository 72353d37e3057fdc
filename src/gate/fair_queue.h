/*
 * Whose turn it is: each source has a lane, in which those that came first are first, and the lanes
 * take turns. So one source with many that wait does not keep the others waiting.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

struct fair_lane;

struct fair_item {
	TAILQ_ENTRY(fair_item) entry;
	struct fair_lane *lane; /* NULL: it does not wait */
};

struct fair_lane {
	TAILQ_HEAD(, fair_item) items;
	TAILQ_ENTRY(fair_lane) entry; /* among the lanes, if there are items */
};

struct fair_queue {
	TAILQ_HEAD(, fair_lane) lanes;
};

void fair_lane_init(struct fair_lane *lane);
void fair_queue_init(struct fair_queue *queue);
bool fair_queue_is_empty(const struct fair_queue *queue);

/* To the end of its lane. Lane and item stay the caller's, and where they are, until the item is
 * out again. */
void fair_queue_add(struct fair_queue *queue, struct fair_lane *lane, struct fair_item *item);

/* The one whose turn it is; NULL if nobody waits. It stays until it is taken out. */
struct fair_item *fair_queue_first(const struct fair_queue *queue);

/* It has had its turn, and so has its lane. */
void fair_queue_take(struct fair_queue *queue, struct fair_item *item);

/* It does not wait any more; its lane keeps its turn. Does nothing if it was not waiting. */
void fair_queue_forget(struct fair_queue *queue, struct fair_item *item);
