/*
 * Starts a client and ends it: at a signal, at its command's end, and if there was no tunnel in
 * time. Runs in the client's one thread, called by its event loop.
 */
#include "client/client_run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/log_timer.h"
#include "base/rights.h"
#include "base/signals.h"
#include "base/version.h"
#include "client/client.h"
#include "client/command_netns.h"
#include "client/instance.h"
#include "client/interface.h"
#include "client/mark.h"
#include "client/privileges.h"

enum {
	MS_PER_S = 1000,
};

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	client_enter(context, CLIENT_ASKING);
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
	client_enter(client, CLIENT_LEAVING);
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
	client_enter(client, CLIENT_ASKING);
}

/* A second signal does not wait for the server. */
static void on_signal(evutil_socket_t signal, short what, void *context)
{
	struct client *client = context;

	(void)what;
	log_info("stopping: %s", strsignal((int)signal));
	client->block_end = end_of_block(client, (int)signal);
	if (client->phase == CLIENT_LEAVING)
		client_finish(client, client->end);
	else
		client_enter(client, CLIENT_LEAVING);
}

static void on_command_signal(void *context, int signal)
{
	on_signal(signal, 0, context);
}

static void on_command_end(void *context)
{
	struct client *client = context;

	if (client->phase != CLIENT_LEAVING)
		client_enter(client, CLIENT_LEAVING);
}

/* A command decides for itself what a signal means. */
static int add_signals(struct client *client)
{
	static const int stop_signals[CLIENT_N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
	bool ok = true;

	if (client->config->netns)
		return command_netns_watch(client->config->netns, client->base, on_command_end,
			on_command_signal, client);
	for (size_t i = 0; i < CLIENT_N_SIGNALS && ok; i++) {
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
	ok &= tunnel_check_open(&client->check, client->base, client->config, client_on_tick,
		      client_on_health, client) == 0;
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
	local_setup_close(&client->setup, keep,
		client_must_go_on(client) ? EGRESS_BLOCK_KEEP : client->block_end);
	for (size_t i = 0; i < CLIENT_N_SIGNALS; i++)
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
		.on_result = client_on_result,
		.context = &client,
		.mark = CLIENT_FWMARK,
		.look_up.fd = -1};
	if (start(&client) < 0) {
		client.end = CLIENT_FAILED;
	} else {
		limit_first_tunnel(&client);
		client_enter(&client, CLIENT_ASKING);
		event_base_dispatch(client.base);
	}
	stop(&client);
	return client.end;
}
