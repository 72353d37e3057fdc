/* Which of many comes first: a binary heap of deadlines, which lie inside what they are for. */
#pragma once

#include <stdint.h>

#define DEADLINE_NEVER UINT64_MAX

/* Zeroed: not in the heap. */
struct deadline {
	uint32_t position; /* in the heap, counted from 1 */
};

struct deadlines_slot {
	uint64_t at; /* ms */
	struct deadline *deadline;
};

/* Zeroed: empty. */
struct deadlines {
	struct deadlines_slot *slots;
	uint32_t count, capacity;
};

/* Room for n in all, so that setting them cannot fail. Returns 0 or -ENOMEM. */
int deadlines_reserve(struct deadlines *deadlines, uint32_t n);
void deadlines_free(struct deadlines *deadlines);

/* DEADLINE_NEVER takes it out. */
void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t at);

/* The first if it has come, else NULL. It stays in the heap until it is set anew. */
struct deadline *deadlines_due(const struct deadlines *deadlines, uint64_t now_ms);
/* DEADLINE_NEVER if there are none. */
uint64_t deadlines_next(const struct deadlines *deadlines);
