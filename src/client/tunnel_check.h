/* Whether the tunnel works: the rounds of the health check, and what it means where no echo comes
 * back. */
#pragma once

#include <stdbool.h>

#include "client/config.h"
#include "client/diagnosis.h"
#include "client/health.h"

struct event_base;
struct interface;

enum tunnel_verdict {
	TUNNEL_WORKS,
	TUNNEL_FAILS, /* the diagnosis says what */
	TUNNEL_UNEXPLAINED, /* likewise; and the server is to be asked once what it sees */
};

struct tunnel_check {
	const struct client_config *config;
	struct health *health;
	struct tunnel tunnel; /* that the rounds go through */
	struct diagnosis diagnosis; /* of the tunnel that was begun last */
	bool is_mute; /* there is no echo, and that was said */
};

/* The callbacks are called as health.h says. Returns 0 or -ENOMEM. */
int tunnel_check_open(struct tunnel_check *check, struct event_base *base,
	const struct client_config *config, health_tick_fn *tick, health_result_fn *result,
	void *context);
/* Zeroed is fine. */
void tunnel_check_close(struct tunnel_check *check);

/* A tunnel that is new. Before it is set up: from then on its ends may shake hands. */
void tunnel_check_begin(struct tunnel_check *check, const struct tunnel *tunnel);

/* As health_start(), health_reopen() and health_stop(). */
int tunnel_check_start(struct tunnel_check *check, const struct tunnel *tunnel);
int tunnel_check_reopen(struct tunnel_check *check);
void tunnel_check_stop(struct tunnel_check *check);

/* After a round. Logs, once, that the tunnel works without an echo. */
enum tunnel_verdict tunnel_check_judge(
	struct tunnel_check *check, enum health_sign sign, struct interface *interface);
