/* A client's one tunnel: its state, and what changes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/key.h"
#include "base/resolvers.h"
#include "client/backoff.h"
#include "client/client_end.h"
#include "client/failure_log.h"
#include "client/health.h"
#include "client/local_setup.h"
#include "client/request_supervisor.h"
#include "client/tunnel.h"
#include "client/tunnel_check.h"

struct event;
struct event_base;

enum {
	CLIENT_N_SIGNALS = 3,
};

enum client_phase {
	CLIENT_STARTING,
	CLIENT_ASKING,
	CLIENT_WAITING,
	CLIENT_CHECKING,
	CLIENT_UP,
	CLIENT_EXPLAINING,
	CLIENT_LEAVING,
	CLIENT_LEFT_UP,
	CLIENT_ENDED,
};

struct client {
	const struct client_config *config;
	struct event_base *base;
	struct event *stop_signals[CLIENT_N_SIGNALS], *retry, *log_timer;
	struct event *give_up; /* until there was a tunnel */
	int lock;
	struct key private_key;
	struct local_setup setup;
	enum egress_block_end block_end;
	struct tunnel_check check;
	struct request_supervisor supervisor;
	struct backoff backoff;

	enum client_phase phase;
	struct tunnel tunnel; /* the last that was granted; zero: none yet */
	struct tunnel announced; /* the last that was set up and reported */
	bool renew; /* the tunnel did not work: set up the next one as new, even if it is the same
		     */
	bool by_name; /* the server was not found where it was last: look its name up */
	bool was_up;
	uint64_t since_s; /* when it came to be up, or ceased to be: s since 1970 */
	enum client_end end; /* what client_run() returns */
	enum client_end failure; /* what it would return if it gave up now */
	struct failure_log failures;
	struct resolvers resolvers; /* that the server has announced last */
};

/* Nothing else sets the phase. Does what a phase begins with. */
void client_enter(struct client *client, enum client_phase phase);
/* Enters the last one. end: what client_run() returns. */
void client_finish(struct client *client, enum client_end end);

/* Once it has had a tunnel, a client with --route goes on whatever happens: at its end, what it
 * routes would leave with the host's own address. */
bool client_must_go_on(const struct client *client);

/* The context of these is the client. As request_supervisor.h and health.h say. */
void client_on_result(void *context, const struct request_result *result);
/* Before each round. Whatever took the interface away, or down, it is made again. */
void client_on_tick(void *context);
void client_on_health(void *context, enum health_sign sign);
