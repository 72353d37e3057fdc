/* A binary heap of deadlines. Runs in the control thread. */
#include "device/wireguard/deadlines.h"

#include <errno.h>
#include <stdlib.h>

enum { INITIAL_CAPACITY = 16 };

int deadlines_reserve(struct deadlines *deadlines, uint32_t n)
{
	uint32_t capacity = deadlines->capacity ? deadlines->capacity : INITIAL_CAPACITY;
	struct deadlines_slot *slots;

	if (n <= deadlines->capacity)
		return 0;
	while (capacity < n)
		capacity *= 2;
	slots = reallocarray(deadlines->slots, capacity, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	deadlines->slots = slots;
	deadlines->capacity = capacity;
	return 0;
}

void deadlines_free(struct deadlines *deadlines)
{
	free(deadlines->slots);
	*deadlines = (struct deadlines){0};
}

static void set_slot(struct deadlines *deadlines, uint32_t i, struct deadlines_slot slot)
{
	deadlines->slots[i] = slot;
	slot.deadline->position = i + 1;
}

/* Moves what is to stand at i towards the root until its parent is no later. */
static void rise(struct deadlines *deadlines, uint32_t i, struct deadlines_slot slot)
{
	while (i > 0 && deadlines->slots[(i - 1) / 2].at > slot.at) {
		set_slot(deadlines, i, deadlines->slots[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	set_slot(deadlines, i, slot);
}

/* Moves it away from the root until its children are no earlier. */
static void sink(struct deadlines *deadlines, uint32_t i, struct deadlines_slot slot)
{
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child + 1 < deadlines->count &&
			deadlines->slots[child + 1].at < deadlines->slots[child].at)
			child++;
		if (child >= deadlines->count || deadlines->slots[child].at >= slot.at)
			break;
		set_slot(deadlines, i, deadlines->slots[child]);
		i = child;
	}
	set_slot(deadlines, i, slot);
}

static void place(struct deadlines *deadlines, uint32_t i, struct deadlines_slot slot)
{
	if (i > 0 && deadlines->slots[(i - 1) / 2].at > slot.at)
		rise(deadlines, i, slot);
	else
		sink(deadlines, i, slot);
}

static void remove_slot(struct deadlines *deadlines, struct deadline *deadline)
{
	uint32_t i = deadline->position - 1;
	struct deadlines_slot last = deadlines->slots[--deadlines->count];

	deadline->position = 0;
	if (last.deadline != deadline)
		place(deadlines, i, last);
}

void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t at)
{
	struct deadlines_slot slot = {at, deadline};

	if (at == DEADLINE_NEVER) {
		if (deadline->position)
			remove_slot(deadlines, deadline);
	} else if (deadline->position) {
		place(deadlines, deadline->position - 1, slot);
	} else {
		rise(deadlines, deadlines->count++, slot);
	}
}

struct deadline *deadlines_due(const struct deadlines *deadlines, uint64_t now_ms)
{
	return deadlines->count > 0 && deadlines->slots[0].at <= now_ms
		       ? deadlines->slots[0].deadline
		       : NULL;
}

uint64_t deadlines_next(const struct deadlines *deadlines)
{
	return deadlines->count > 0 ? deadlines->slots[0].at : DEADLINE_NEVER;
}
