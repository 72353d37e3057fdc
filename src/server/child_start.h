/* A group of processes that may not be startable when the server starts, as what they are given
 * cannot be had yet: it is tried again until it is. */
#pragma once

#include <stdbool.h>

#include "server/child.h"

struct event;
struct event_base;

struct child_start_config {
	struct child_group_config children;
	/* Opens what they are given; called before each try. Returns 0 or -errno. */
	int (*open)(void *context);
	/* Logs how it went, with the context of the children's: 0, they are started; or -errno,
	 * which is told of the first try that fails only. */
	void (*say)(void *context, int error);
};

struct child_start {
	struct child_start_config config;
	struct event_base *base;
	struct event *retry;
	struct child_group *group; /* NULL: not started yet */
	bool has_failed; /* which was said */
};

/* Starts nothing. Returns 0 or -ENOMEM. */
int child_start_init(struct child_start *start, struct event_base *base,
	const struct child_start_config *config);
/* Starts them, now or later. */
void child_start_try(struct child_start *start);
/* The first of the group; NULL: it is not started yet. */
struct child *child_start_get(const struct child_start *start);
/* child_group_free(). Of one that is all zero nothing is done. */
void child_start_free(struct child_start *start);
