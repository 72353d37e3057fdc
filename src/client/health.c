/* Sends echoes through the tunnel and waits for their answers. Runs in the client's one thread,
 * called by its events. */
#include "client/health.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "client/connection_probe.h"
#include "client/echo.h"

enum {
	MOST_PER_TURN = 64, /* packets read before others get their turn */
};

struct health {
	struct event_base *base;
	health_tick_fn *tick;
	health_result_fn *result;
	void *context;

	int given; /* a socket to use; -1: one is made */
	int fd; /* -1: stopped */
	struct health_target target;
	struct event *readable, *next_echo, *next_round, *timeout, *no_echo;
	struct connection_probe *probe;
	struct echo echo; /* of this round */
	unsigned int sent; /* in this round */
};

static void add_timer(struct event *timer, unsigned int ms)
{
	struct timeval time = timeval_from_ms(ms);

	event_add(timer, &time);
}

/* Whether any comes back the round's timeout decides. */
static void send_echo(struct health *health)
{
	echo_send(health->fd, &health->echo, ECHO_LEAST);
	health->echo.sequence++;
	if (++health->sent < HEALTH_ECHOES)
		add_timer(health->next_echo, HEALTH_GAP_MS);
}

static void on_next_echo(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	send_echo(context);
}

static void begin_round(struct health *health)
{
	health->tick(health->context);
	if (health->fd < 0)
		return;
	health->sent = 0;
	echo_renew(&health->echo);
	add_timer(health->next_round, HEALTH_PERIOD_MS);
	add_timer(health->timeout, HEALTH_TIMEOUT_MS);
	add_timer(health->no_echo, HEALTH_CONNECT_AFTER_MS);
	event_add(health->readable, NULL);
	send_echo(health);
}

/* If the round is still open, its timeout begins the next one. */
static void on_next_round(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;

	(void)fd;
	(void)what;
	if (!evtimer_pending(health->timeout, NULL))
		begin_round(health);
}

static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;

	(void)fd;
	(void)what;
	connection_probe_stop(health->probe);
	health->result(health->context, HEALTH_NOTHING);
	if (health->fd >= 0)
		begin_round(health);
}

static void end_round(struct health *health, enum health_sign sign)
{
	event_del(health->timeout);
	event_del(health->next_echo);
	event_del(health->no_echo);
	event_del(health->readable);
	connection_probe_stop(health->probe);
	if (sign == HEALTH_CONNECTION)
		add_timer(health->next_round, HEALTH_CONNECT_PERIOD_MS);
	else if (!evtimer_pending(health->next_round, NULL))
		add_timer(health->next_round, 0);
	health->result(health->context, sign);
}

static void on_no_echo(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;

	(void)fd;
	(void)what;
	connection_probe_start(health->probe, health->target.interface, health->target.server);
}

static void on_connection(void *context)
{
	end_round(context, HEALTH_CONNECTION);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct health *health = context;
	size_t length;

	(void)what;
	for (int i = 0; i < MOST_PER_TURN; i++) {
		int answered = echo_receive(fd, &health->echo, &length);

		if (answered < 0)
			return;
		if (answered == 0 || !evtimer_pending(health->timeout, NULL))
			continue;
		end_round(health, HEALTH_ECHO);
		return;
	}
}

struct health *health_new(
	struct event_base *base, health_tick_fn *tick, health_result_fn *result, void *context)
{
	struct health *health = calloc(1, sizeof *health);

	if (!health)
		return NULL;
	*health = (struct health){.base = base,
		.tick = tick,
		.result = result,
		.context = context,
		.given = -1,
		.fd = -1};
	health->next_echo = evtimer_new(base, on_next_echo, health);
	health->next_round = evtimer_new(base, on_next_round, health);
	health->timeout = evtimer_new(base, on_timeout, health);
	health->no_echo = evtimer_new(base, on_no_echo, health);
	health->probe = connection_probe_new(base, on_connection, health);
	if (health->next_echo && health->next_round && health->timeout && health->no_echo &&
		health->probe)
		return health;
	health_free(health);
	return NULL;
}

void health_use_sockets(struct health *health, int echo, int stream)
{
	health->given = echo;
	connection_probe_use_socket(health->probe, stream);
}

static void close_socket(struct health *health)
{
	free_event(health->readable);
	health->readable = NULL;
	if (health->fd >= 0)
		close(health->fd);
	health->fd = -1;
}

int health_reopen(struct health *health, const struct health_target *target)
{
	close_socket(health);
	health->target = *target;
	health->echo.gateway = target->gateway;
	health->fd = echo_open(health->given, target->interface, target->mark);
	if (health->fd < 0)
		return health->fd;
	health->readable =
		event_new(health->base, health->fd, EV_READ | EV_PERSIST, on_readable, health);
	return health->readable && event_add(health->readable, NULL) == 0 ? 0 : -ENOMEM;
}

int health_start(struct health *health, const struct health_target *target)
{
	int error;

	health_stop(health);
	error = health_reopen(health, target);
	if (error == 0)
		begin_round(health);
	return error;
}

void health_stop(struct health *health)
{
	close_socket(health);
	event_del(health->next_echo);
	event_del(health->next_round);
	event_del(health->timeout);
	event_del(health->no_echo);
	connection_probe_stop(health->probe);
}

void health_free(struct health *health)
{
	if (!health)
		return;
	close_socket(health);
	free_event(health->next_echo);
	free_event(health->next_round);
	free_event(health->timeout);
	free_event(health->no_echo);
	connection_probe_free(health->probe);
	free(health);
}
