/*
 * Whether the tunnel works: every 2 s three echoes go to the server's inner address, 10 ms apart,
 * out of the interface; one of them is to be back within 5 s.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ipv4.h"

enum {
	HEALTH_PERIOD_MS = 2000,
	HEALTH_GAP_MS = 10,
	HEALTH_ECHOES = 3,
	HEALTH_TIMEOUT_MS = 5000,
};

struct event_base;
struct health;

/* tick comes before each round; result after it. The callbacks may stop it. */
typedef void health_tick_fn(void *context);
typedef void health_result_fn(void *context, bool healthy);

struct health *health_new(
	struct event_base *base, health_tick_fn *tick, health_result_fn *result, void *context);
/* NULL is fine. */
void health_free(struct health *health);

/* Begins with a round at once. Returns 0 or -errno. */
int health_start(struct health *health, const char *interface, struct ipv4 gateway);
/* The same rounds go on, through an interface that was made anew. Returns 0 or -errno. */
int health_reopen(struct health *health, const char *interface, struct ipv4 gateway);
void health_stop(struct health *health);
