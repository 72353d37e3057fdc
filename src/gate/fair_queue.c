/* Round robin over lanes. Runs in the gate. */
#include "gate/fair_queue.h"

#include <stddef.h>

void fair_lane_init(struct fair_lane *lane)
{
	TAILQ_INIT(&lane->items);
}

void fair_queue_init(struct fair_queue *queue)
{
	TAILQ_INIT(&queue->lanes);
}

bool fair_queue_is_empty(const struct fair_queue *queue)
{
	return TAILQ_EMPTY(&queue->lanes);
}

void fair_queue_add(struct fair_queue *queue, struct fair_lane *lane, struct fair_item *item)
{
	if (TAILQ_EMPTY(&lane->items))
		TAILQ_INSERT_TAIL(&queue->lanes, lane, entry);
	TAILQ_INSERT_TAIL(&lane->items, item, entry);
	item->lane = lane;
}

struct fair_item *fair_queue_first(const struct fair_queue *queue)
{
	const struct fair_lane *lane = TAILQ_FIRST(&queue->lanes);

	return lane ? TAILQ_FIRST(&lane->items) : NULL;
}

static void remove_item(struct fair_queue *queue, struct fair_item *item)
{
	struct fair_lane *lane = item->lane;

	TAILQ_REMOVE(&lane->items, item, entry);
	item->lane = NULL;
	if (TAILQ_EMPTY(&lane->items))
		TAILQ_REMOVE(&queue->lanes, lane, entry);
}

void fair_queue_take(struct fair_queue *queue, struct fair_item *item)
{
	struct fair_lane *lane = item->lane;

	remove_item(queue, item);
	if (TAILQ_EMPTY(&lane->items))
		return;
	TAILQ_REMOVE(&queue->lanes, lane, entry);
	TAILQ_INSERT_TAIL(&queue->lanes, lane, entry);
}

void fair_queue_forget(struct fair_queue *queue, struct fair_item *item)
{
	if (item->lane)
		remove_item(queue, item);
}
