/*
 * The life of a client: one tunnel, asked for, set up, watched and asked for again. Runs in the
 * client's one thread, called by its event loop; a process of its own talks to the server
 * (request_supervisor.h).
 *
 *   starting   until the event loop runs
 *   asking     the server, by a request process
 *                -> checking: the tunnel was granted and set up
 *                -> waiting: it was not, this time; or ended, if asking again is of no use
 *   waiting    a while, longer each time -> asking
 *   checking   nothing has come back yet through the tunnel -> up, or waiting if nothing does
 *                -> explaining, where the server can tell why
 *   up         -> waiting, if no echo comes back, or the interface is gone and cannot be made again
 *                -> left up, with --once
 *   explaining the server is asked which address it sees -> waiting
 *   leaving    at a signal, or if there was no tunnel in time, from wherever it was: the tunnel is
 *              removed, the server is told -> ended
 *   left up    the end, at which the tunnel stays
 *   ended      the end, at which everything goes
 */
#include "client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/log_timer.h"
#include "base/notify.h"
#include "base/rights.h"
#include "base/signals.h"
#include "base/version.h"
#include "client/backoff.h"
#include "client/command_netns.h"
#include "client/client_state.h"
#include "client/failure_log.h"
#include "client/grant_report.h"
#include "client/instance.h"
#include "client/interface.h"
#include "client/local_setup.h"
#include "client/mark.h"
#include "client/privileges.h"
#include "client/refusal.h"
#include "client/request_supervisor.h"
#include "client/tunnel_check.h"

enum {
	N_SIGNALS = 3,
	MS_PER_S = 1000,
	NS_PER_S = 1000000000,
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
	struct event *stop_signals[N_SIGNALS], *retry, *log_timer;
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

static bool was_granted(const struct client *client)
{
	return client->tunnel.length != 0;
}

/* Once it has had a tunnel, a client with --route goes on whatever happens: at its end, what it
 * routes would leave with the host's own address. */
static bool must_go_on(const struct client *client)
{
	return client->announced.length != 0 &&
	       (client->config->n_routes > 0 || client->config->netns);
}

/* From its start on, what is routed goes into the tunnel or nowhere. */
static bool is_blocked(const struct client *client)
{
	return client->config->netns || (client->config->n_routes > 0 && !client->config->no_block);
}

/* About the tunnel. */
static void start_request(
	struct client *client, const char *path, struct ipv4 server, unsigned int time_ms)
{
	bool ipip = client->config->tunnel == TUNNEL_IPIP;
	char text[REQUEST_PATH_MAX];

	snprintf(text, sizeof text, "%s%s", path, ipip ? "-ipip" : "");
	request_supervisor_start(&client->supervisor, text, server, time_ms);
}

/* From the first signal on there is no tunnel; the server is told last, as it may be slow. */
static void remove_tunnel(struct client *client)
{
	event_del(client->retry);
	tunnel_check_stop(&client->check);
	local_setup_close(&client->setup, false, client->block_end);
}

static const char *state_of(const struct client *client)
{
	switch (client->phase) {
	case CLIENT_UP:
		return "up";
	case CLIENT_LEFT_UP:
		return "left up";
	case CLIENT_LEAVING:
		return "leaving";
	default:
		return client->was_up ? "down" : "connecting";
	}
}

/* For `vprox status`. Without it the tunnel works as well. */
static void publish(struct client *client)
{
	const char *state = state_of(client);
	const struct client_facts facts = {
		.state = state,
		.since_s = client->since_s,
		.tunnel = client->announced.length != 0 ? &client->announced : NULL,
		.plane = client->setup.interface ? interface_plane(client->setup.interface) : "",
		.fault = client->failures.last,
		.is_mute = client->check.is_mute,
		.is_blocked = is_blocked(client),
	};
	int error;

	if (client->phase == CLIENT_ENDED) {
		client_state_remove(client->config->interface);
		return;
	}
	error = client_state_write(client->config, &facts);
	if (error < 0)
		log_debug("cannot write the state for `vprox status`: %s", strerror(-error));
}

/* When the client came to be up, or ceased to be. */
static void record_time(struct client *client, enum client_phase phase)
{
	if (client->since_s == 0 || (phase == CLIENT_UP) != (client->phase == CLIENT_UP))
		client->since_s = clock_wall_ns() / NS_PER_S;
	client->was_up |= phase == CLIENT_UP;
}

/* Nothing else sets the phase. Does what a phase begins with. */
static void enter(struct client *client, enum client_phase phase)
{
	if (phase != CLIENT_LEFT_UP)
		record_time(client, phase);
	client->phase = phase;
	publish(client);
	switch (phase) {
	case CLIENT_STARTING:
		break;
	case CLIENT_CHECKING:
		client->failure = CLIENT_NO_HANDSHAKE;
		break;
	case CLIENT_ASKING:
		start_request(client, "/connect",
			client->by_name ? (struct ipv4){0} : client->tunnel.server,
			REQUEST_TIME_MS);
		break;
	case CLIENT_WAITING:
		tunnel_check_stop(&client->check);
		break;
	case CLIENT_EXPLAINING:
		tunnel_check_stop(&client->check);
		request_supervisor_start(
			&client->supervisor, REQUEST_ROOT, client->tunnel.server, REQUEST_TIME_MS);
		break;
	case CLIENT_UP:
		event_del(client->give_up);
		log_info("the tunnel is up");
		notify_service_manager("READY=1");
		break;
	case CLIENT_LEAVING:
		notify_service_manager("STOPPING=1");
		remove_tunnel(client);
		start_request(client, "/disconnect", client->tunnel.server, GOODBYE_TIME_MS);
		break;
	case CLIENT_LEFT_UP:
		client->block_end = EGRESS_BLOCK_KEEP;
		event_base_loopbreak(client->base);
		break;
	case CLIENT_ENDED:
		event_base_loopbreak(client->base);
		break;
	}
}

static void finish(struct client *client, enum client_end end)
{
	client->end = end;
	enter(client, CLIENT_ENDED);
}

static void ask_later(struct client *client, uint32_t ms)
{
	struct timeval time = timeval_from_ms(ms);

	log_debug("asking again in %u ms", ms);
	enter(client, CLIENT_WAITING);
	event_add(client->retry, &time);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	enter(context, CLIENT_ASKING);
}

/* Without a name server that is asked through the tunnel, it would have none. One that runs keeps
 * those that it began with, whatever the server announces by now. */
static int start_command(struct client *client)
{
	const struct client_config *config = client->config;
	const struct resolvers *resolvers = config->dns.n > 0 ? &config->dns : &client->resolvers;

	if (resolvers->n > 0 || command_netns_is_started(config->netns))
		return command_netns_start(config->netns, resolvers);
	log_error("%s announces no name server (--announce-dns): name one with --dns",
		config->server);
	return -ENOENT;
}

static int check_health(struct client *client)
{
	/* The first round begins at once, and may end this phase. */
	enter(client, CLIENT_CHECKING);
	return tunnel_check_start(&client->check, &client->tunnel);
}

static void on_granted(struct client *client, const struct tunnel *tunnel)
{
	char why[FAILURE_SIZE] = "";
	int error = interface_check(client->setup.interface, tunnel, why, sizeof why);

	client->by_name = false;
	client->failure = CLIENT_FAILED;
	if (error == -EADDRINUSE)
		failure_log_address(&client->failures, tunnel, why);
	if (error < 0)
		return ask_later(client, backoff_next(&client->backoff));
	client->tunnel = *tunnel;
	if (client->renew || !tunnel_equal(&client->announced, tunnel) ||
		!tunnel_equal(&client->check.diagnosis.tunnel, tunnel))
		tunnel_check_begin(&client->check, tunnel);
	error = local_setup_set(&client->setup, tunnel, client->renew);
	if (error == -EEXIST && !must_go_on(client))
		return finish(client, CLIENT_FAILED);
	if (error == 0) {
		if (!tunnel_equal(&client->announced, tunnel))
			grant_report(
				client->config, tunnel, interface_plane(client->setup.interface));
		client->announced = *tunnel;
		error = check_health(client);
	}
	if (error < 0)
		return ask_later(client, backoff_next(&client->backoff));
	client->renew = false;
}

static void on_answered(struct client *client, const struct request_result *result)
{
	char text[FAILURE_SIZE];

	client->failure = CLIENT_REFUSED;
	refusal_write(result, must_go_on(client), client->config, text, sizeof text);
	if (refusal_is_final(result, was_granted(client), must_go_on(client))) {
		log_error("%s: %s", client->config->server, text);
		return finish(client, CLIENT_REFUSED);
	}
	failure_log_say(&client->failures, text);
	ask_later(client, refusal_pause(result, &client->backoff));
}

/* Its name may mean another address now; but while it cannot be looked up, as that needs the
 * tunnel, the one from before is the one to try. */
static void ask_elsewhere_later(struct client *client)
{
	client->by_name = !client->by_name;
	ask_later(client, backoff_next(&client->backoff));
}

static void fail_check(struct client *client)
{
	char text[FAILURE_SIZE];

	diagnosis_write(&client->check.diagnosis, text, sizeof text);
	failure_log_say(&client->failures, text);
	client->renew = true;
	if (address_order_doubt(&client->supervisor.order, client->tunnel.server))
		client->by_name = true;
	ask_later(client, backoff_next(&client->backoff));
}

static void on_explained(struct client *client, const struct request_result *result)
{
	if (result->outcome == REQUEST_ANSWERED)
		client->check.diagnosis.seen = diagnosis_parse_seen(result->text);
	fail_check(client);
}

static void on_result(void *context, const struct request_result *result)
{
	struct client *client = context;

	if (client->phase == CLIENT_LEAVING)
		return finish(client, client->end);
	if (client->phase == CLIENT_EXPLAINING)
		return on_explained(client, result);
	client->failure = CLIENT_UNREACHABLE;
	switch (result->outcome) {
	case REQUEST_GRANTED:
		client->resolvers = result->resolvers;
		/* checked once more: the process that asked may be anybody's by now */
		if (!tunnel_fault(&result->tunnel, client->config->tunnel))
			return on_granted(client, &result->tunnel);
		failure_log_say(&client->failures, "the answer cannot be used");
		break;
	case REQUEST_ANSWERED:
		return on_answered(client, result);
	case REQUEST_REFUSED:
		/* why has been logged; a server that was good before may come back */
		if (!was_granted(client))
			return finish(client, CLIENT_REFUSED);
		break;
	default:
		failure_log_say(&client->failures, result->text);
	}
	ask_elsewhere_later(client);
}

static int make_again(struct client *client)
{
	int error;

	log_warning("%s is gone or down: making it again", client->config->interface);
	error = local_setup_set(&client->setup, &client->tunnel, false);
	return error < 0 ? error : tunnel_check_reopen(&client->check);
}

/* Before each round. Whatever took the interface away, or down, it is made again. */
static void on_tick(void *context)
{
	struct client *client = context;
	int error = interface_is_up(client->setup.interface)
			    ? local_setup_set_routes(&client->setup, &client->tunnel)
			    : make_again(client);

	if (error == 0)
		interface_set_mtu(client->setup.interface);
	if (error == -EEXIST && !must_go_on(client))
		finish(client, CLIENT_FAILED);
	else if (error < 0)
		ask_later(client, backoff_next(&client->backoff));
}

static void on_healthy(struct client *client)
{
	backoff_reset(&client->backoff);
	failure_log_forget(&client->failures);
	address_order_prove(&client->supervisor.order, client->tunnel.server);
	if (client->phase != CLIENT_UP)
		enter(client, CLIENT_UP);
	local_setup_set_name_servers(&client->setup, &client->resolvers);
	if (client->config->netns && start_command(client) < 0)
		return enter(client, CLIENT_LEAVING);
	if (client->config->once)
		enter(client, CLIENT_LEFT_UP);
}

static void on_health(void *context, enum health_sign sign)
{
	struct client *client = context;

	switch (tunnel_check_judge(&client->check, sign, client->setup.interface)) {
	case TUNNEL_WORKS:
		return on_healthy(client);
	case TUNNEL_FAILS:
		return fail_check(client);
	case TUNNEL_UNEXPLAINED:
		return enter(client, CLIENT_EXPLAINING);
	}
}

/* What did not answer, where the time has ended before anything had failed. Of a request that is
 * under way, the failure of the one before it tells more. */
static void find_fault(struct client *client)
{
	struct failure_log *failures = &client->failures;
	bool has_tunnel = client->phase == CLIENT_CHECKING || client->phase == CLIENT_EXPLAINING;

	if (has_tunnel) {
		client->check.diagnosis.handshake_ns = interface_handshake(client->setup.interface);
		diagnosis_write(&client->check.diagnosis, failures->last, sizeof failures->last);
	} else if (*failures->last == '\0' && client->phase == CLIENT_ASKING) {
		request_supervisor_describe(
			&client->supervisor, failures->last, sizeof failures->last);
	}
}

static void on_give_up(evutil_socket_t fd, short what, void *context)
{
	struct client *client = context;

	(void)fd;
	(void)what;
	if (client->phase == CLIENT_LEAVING)
		return;
	find_fault(client);
	log_error("%s: there was no tunnel within %g s: %s", client->config->server,
		(double)client->config->timeout_ms / MS_PER_S,
		*client->failures.last ? client->failures.last
				       : "this machine could not set it up, see above");
	client->end = client->failure;
	enter(client, CLIENT_LEAVING);
}

/* A hang-up is nobody's decision: who has lost the terminal is not to lose the block with it. */
static enum egress_block_end end_of_block(const struct client *client, int signal)
{
	return signal == SIGHUP || client->config->block == BLOCK_KEEP ? EGRESS_BLOCK_KEEP
								       : EGRESS_BLOCK_OPEN;
}

/* Of a client that has a password's file: it is read before each request, so the next one may come
 * at once. */
static void on_hang_up(evutil_socket_t signal, short what, void *context)
{
	struct client *client = context;

	(void)signal;
	(void)what;
	client->config->password(client->config->password_context);
	if (client->phase != CLIENT_WAITING)
		return;
	event_del(client->retry);
	enter(client, CLIENT_ASKING);
}

/* A second signal does not wait for the server. */
static void on_signal(evutil_socket_t signal, short what, void *context)
{
	struct client *client = context;

	(void)what;
	log_info("stopping: %s", strsignal((int)signal));
	client->block_end = end_of_block(client, (int)signal);
	if (client->phase == CLIENT_LEAVING)
		finish(client, client->end);
	else
		enter(client, CLIENT_LEAVING);
}

static void on_command_signal(void *context, int signal)
{
	on_signal(signal, 0, context);
}

static void on_command_end(void *context)
{
	struct client *client = context;

	if (client->phase != CLIENT_LEAVING)
		enter(client, CLIENT_LEAVING);
}

/* A command decides for itself what a signal means. */
static int add_signals(struct client *client)
{
	static const int stop_signals[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
	bool ok = true;

	if (client->config->netns)
		return command_netns_watch(client->config->netns, client->base, on_command_end,
			on_command_signal, client);
	for (size_t i = 0; i < N_SIGNALS && ok; i++) {
		if (stop_signals[i] == SIGHUP && signals_is_ignored(SIGHUP))
			continue; /* under nohup(1) */
		client->stop_signals[i] = evsignal_new(client->base, stop_signals[i],
			stop_signals[i] == SIGHUP && client->config->password_file ? on_hang_up
										   : on_signal,
			client);
		ok = client->stop_signals[i] && event_add(client->stop_signals[i], NULL) == 0;
	}
	return ok ? 0 : -ENOMEM;
}

static int add_events(struct client *client)
{
	bool ok = add_signals(client) == 0;

	client->retry = evtimer_new(client->base, on_retry, client);
	client->give_up = evtimer_new(client->base, on_give_up, client);
	ok &= tunnel_check_open(&client->check, client->base, client->config, on_tick, on_health,
		      client) == 0;
	client->log_timer = log_timer_new(client->base);
	if (ok && client->retry && client->give_up && client->log_timer)
		return 0;
	log_error("cannot set up the event loop");
	return -ENOMEM;
}

static int start(struct client *client)
{
	struct request_supervisor *supervisor = &client->supervisor;
	const char *name = client->config->interface;
	int error = add_events(client);

	if (error == 0)
		error = request_supervisor_find_user(supervisor);
	if (error == 0)
		error = rights_check(
			supervisor->user != geteuid() || supervisor->group != getegid());
	if (error == 0) {
		client->lock =
			client->config->lock >= 0 ? client->config->lock : instance_lock(name);
		error = client->lock < 0 ? client->lock : 0;
	}
	if (error == 0)
		error = instance_load_key(name, &client->private_key, &supervisor->public_key);
	if (error == 0)
		error = instance_load_id(name, &supervisor->client_id);
	if (error == 0)
		error = client_give_up_rights();
	if (error == 0)
		error = local_setup_open(
			&client->setup, client->base, client->config, &client->private_key);
	return error;
}

static void stop(struct client *client)
{
	bool keep = client->phase == CLIENT_LEFT_UP;

	request_supervisor_cancel(&client->supervisor);
	command_netns_close(client->config->netns);
	tunnel_check_close(&client->check);
	local_setup_close(
		&client->setup, keep, must_go_on(client) ? EGRESS_BLOCK_KEEP : client->block_end);
	for (size_t i = 0; i < N_SIGNALS; i++)
		free_event(client->stop_signals[i]);
	free_event(client->retry);
	free_event(client->give_up);
	free_event(client->log_timer);
	event_base_free(client->base);
	key_wipe(&client->private_key);
	if (client->lock >= 0)
		close(client->lock);
}

static void limit_first_tunnel(struct client *client)
{
	struct timeval time = timeval_from_ms(client->config->timeout_ms);

	if (client->config->timeout_ms == 0)
		return;
	log_debug("giving up if there is no tunnel within %g s",
		(double)client->config->timeout_ms / MS_PER_S);
	event_add(client->give_up, &time);
}

enum client_end client_run(const struct client_config *config)
{
	struct client client = {.config = config,
		.lock = -1,
		.end = CLIENT_DONE,
		.failure = CLIENT_UNREACHABLE,
		.backoff.random = backoff_random,
		.block_end =
			config->block == BLOCK_KEEP ? EGRESS_BLOCK_KEEP : EGRESS_BLOCK_AS_FOUND,
		.failures.server = config->server};

	/* The reader of the log may go; the tunnel must not go with it. */
	signal(SIGPIPE, SIG_IGN);
	log_open();
	log_info(
		"vprox %s (%s) connects to %s", version_number, version_git_commit, config->server);
	/* Whoever started us may have it ignored, and then no process's end could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	client.base = event_base_new();
	if (!client.base) {
		log_error("cannot make an event loop");
		return CLIENT_FAILED;
	}
	client.supervisor = (struct request_supervisor){.config = config,
		.base = client.base,
		.on_result = on_result,
		.context = &client,
		.mark = CLIENT_FWMARK,
		.look_up.fd = -1};
	if (start(&client) < 0) {
		client.end = CLIENT_FAILED;
	} else {
		limit_first_tunnel(&client);
		enter(&client, CLIENT_ASKING);
		event_base_dispatch(client.base);
	}
	stop(&client);
	return client.end;
}
