/*
 * Whether the tunnel works: every 2 s three echoes go to the server's inner address, 10 ms apart,
 * out of the interface; one of them is to be back within 5 s. Where none is after a second, a
 * connection through the tunnel is tried as well: echoes may be filtered. As that costs the server
 * more, the next round comes later.
 */
#pragma once

#include <stdint.h>

#include "base/ipv4.h"

enum {
	HEALTH_PERIOD_MS = 2000,
	HEALTH_GAP_MS = 10,
	HEALTH_ECHOES = 3,
	HEALTH_TIMEOUT_MS = 5000,
	HEALTH_CONNECT_AFTER_MS = 1000,
	HEALTH_CONNECT_PERIOD_MS = 10000, /* instead of HEALTH_PERIOD_MS */
};

/* What came back in a round. */
enum health_sign {
	HEALTH_NOTHING,
	HEALTH_CONNECTION,
	HEALTH_ECHO,
};

struct event_base;
struct health;

/* tick comes before each round; result after it. The callbacks may stop it. */
typedef void health_tick_fn(void *context);
typedef void health_result_fn(void *context, enum health_sign sign);

struct health *health_new(
	struct event_base *base, health_tick_fn *tick, health_result_fn *result, void *context);
/* Echoes go out of a copy of a raw ICMP socket, and connections out of one of a TCP socket that
 * does not block, in whatever namespace these are. */
void health_use_sockets(struct health *health, int echo, int stream);
/* NULL is fine. */
void health_free(struct health *health);

/* Where the rounds go. */
struct health_target {
	const char *interface; /* kept by reference */
	struct ipv4 gateway; /* the server's inner address, for echoes */
	struct ipv4 server; /* its outer one, for connections */
	uint32_t mark; /* of echoes, for firewalls; 0: none */
};

/* Begins with a round at once. Returns 0 or -errno. */
int health_start(struct health *health, const struct health_target *target);
/* The same rounds go on, through an interface that was made anew. Returns 0 or -errno. */
int health_reopen(struct health *health, const struct health_target *target);
void health_stop(struct health *health);
