#include "client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/key_file.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/rights.h"
#include "base/version.h"
#include "client/backoff.h"
#include "client/request_supervisor.h"
#include "client/grant_report.h"
#include "client/health.h"
#include "client/interface.h"
#include "client/ip_routes.h"
#include "plane/client_link.h"

enum {
	PATH_SIZE = 64,
	N_SIGNALS = 3,
	FAILURE_SIZE = REQUEST_TEXT_MAX + 64,
	LOCK_TRIES = 10,
	LOCK_PAUSE_MS = 50,
};

struct client {
	const struct client_config *config;
	struct event_base *base;
	struct event *stop_signals[N_SIGNALS], *retry;
	int lock;
	struct key private_key;
	struct interface *interface;
	struct routes *routes;
	struct health *health;
	struct request_supervisor supervisor;
	struct backoff backoff;

	struct tunnel tunnel; /* the last that was granted; zero: none yet */
	struct tunnel announced; /* the last that was set up and told */
	bool asked; /* the server may hold something for us */
	bool connected; /* there was a grant, ever */
	bool healthy; /* by the last round */
	bool renew; /* the tunnel does not work: begin it anew */
	bool by_name; /* the server was not found where it was last: look its name up */
	bool stopping;
	bool keep; /* --once has been reached */
	int error; /* what client_run() returns */
	char last_failure[FAILURE_SIZE]; /* that was told */
};

/* HTTP's */
enum {
	STATUS_UNAUTHORIZED = 401,
	STATUS_TOO_MANY = 429,
	STATUS_UNAVAILABLE = 503,
};

static bool is_wireguard(const struct client *client)
{
	return client->config->tunnel == TUNNEL_WIREGUARD;
}

static void finish(struct client *client, int error)
{
	client->error = error;
	event_base_loopbreak(client->base);
}

static void ask(struct client *client)
{
	struct ipv4 last = client->by_name ? (struct ipv4){0} : client->tunnel.server;

	client->asked = true;
	request_supervisor_start(&client->supervisor,
		is_wireguard(client) ? "/connect" : "/connect-ipip", last, REQUEST_TIME_MS);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	ask(context);
}

static void ask_later(struct client *client, uint32_t ms)
{
	struct timeval time = timeval_from_ms(ms);

	health_stop(client->health);
	log_debug("asking again in %u ms", ms);
	event_add(client->retry, &time);
}

/* Says it once, and again when something else is wrong. */
static void report_failure(struct client *client, const char *text)
{
	if (strcmp(client->last_failure, text) != 0)
		log_warning("%s: %s; trying again until it works", client->config->server, text);
	else
		log_debug("%s: still: %s", client->config->server, text);
	snprintf(client->last_failure, sizeof client->last_failure, "%s", text);
}

static int set_up(struct client *client, bool renew)
{
	int error = interface_set(client->interface, &client->tunnel, renew);

	return error < 0 ? error
			 : routes_set(client->routes, interface_ifindex(client->interface),
				   client->tunnel.server);
}

static void announce(struct client *client)
{
	const struct client_config *config = client->config;

	if (config->json)
		grant_report(stdout, config, &client->tunnel, interface_plane(client->interface));
	log_info("%s has %s/%u from %s (%s)", config->interface, ipv4_text(client->tunnel.inner).s,
		client->tunnel.length, config->server, ipv4_text(client->tunnel.server).s);
	client->announced = client->tunnel;
}

static void on_granted(struct client *client, const struct tunnel *tunnel)
{
	int error;

	client->connected = true;
	client->by_name = false;
	client->tunnel = *tunnel;
	error = set_up(client, client->renew);
	if (error == -EEXIST)
		return finish(client, error);
	if (error == 0 && !tunnel_equal(&client->announced, tunnel))
		announce(client);
	if (error == 0)
		error = health_start(
			client->health, client->config->interface, tunnel_gateway(tunnel));
	if (error < 0)
		return ask_later(client, backoff_next(&client->backoff));
	client->renew = false;
}

/* The answers that end a client which has not been connected yet: asking again would be of no
 * use. */
static bool is_final(const struct client *client, unsigned int status)
{
	static const unsigned int final[] = {400, 403, 404, 405};

	for (size_t i = 0; i < sizeof final / sizeof *final; i++)
		if (status == final[i])
			return !client->connected;
	return status == STATUS_UNAUTHORIZED;
}

static void on_answered(struct client *client, const struct request_result *result)
{
	char text[FAILURE_SIZE];
	bool may_wait = result->status == STATUS_TOO_MANY || result->status == STATUS_UNAVAILABLE;

	snprintf(text, sizeof text, "%s (HTTP status %u)",
		*result->text ? result->text : "it refuses", result->status);
	if (is_final(client, result->status)) {
		log_error("%s: %s%s", client->config->server, text,
			result->status == STATUS_UNAUTHORIZED
				? ": VPROX_PASSWORD is not the server's password"
				: "");
		return finish(client, -EACCES);
	}
	report_failure(client, text);
	ask_later(client, may_wait && result->has_retry_after
				  ? backoff_after(&client->backoff, result->retry_after_s)
				  : backoff_next(&client->backoff));
}

static void on_result(void *context, const struct request_result *result)
{
	struct client *client = context;

	if (client->stopping)
		return finish(client, client->error);
	switch (result->outcome) {
	case REQUEST_GRANTED:
		/* looked at once more: the process that asked may be anybody's by now */
		if (!tunnel_fault(&result->tunnel, client->config->tunnel))
			return on_granted(client, &result->tunnel);
		report_failure(client, "the answer cannot be used");
		break;
	case REQUEST_ANSWERED:
		return on_answered(client, result);
	case REQUEST_REFUSED:
		/* why has been said; a server that was good before may come back */
		if (!client->connected)
			return finish(client, -EPERM);
		break;
	default:
		report_failure(client, result->text);
	}
	/* Its name may mean another address now; but while it cannot be looked up, as that needs
	 * the tunnel, the one from before is the one to try. */
	client->by_name = !client->by_name;
	ask_later(client, backoff_next(&client->backoff));
}

/* Before each round. Whatever took the interface away, or down, it is made again. */
static void on_tick(void *context)
{
	struct client *client = context;
	bool up = interface_is_up(client->interface);
	int error = 0;

	if (!up) {
		log_warning("%s is gone or down: making it again", client->config->interface);
		error = set_up(client, false);
		if (error == 0)
			error = health_reopen(client->health, client->config->interface,
				tunnel_gateway(&client->tunnel));
	} else {
		error = routes_set(client->routes, interface_ifindex(client->interface),
			client->tunnel.server);
	}
	if (error == -EEXIST)
		return finish(client, error);
	if (error < 0)
		ask_later(client, backoff_next(&client->backoff));
}

static void on_health(void *context, bool healthy)
{
	struct client *client = context;

	if (healthy && !client->healthy) {
		log_info("the tunnel is up");
		notify_service_manager("READY=1");
	}
	client->healthy = healthy;
	if (!healthy) {
		report_failure(client, "no echo comes back through the tunnel");
		client->renew = true;
		ask_later(client, backoff_next(&client->backoff));
		return;
	}
	backoff_reset(&client->backoff);
	client->last_failure[0] = '\0';
	if (client->config->once) {
		client->keep = true;
		finish(client, 0);
	}
}

/* Leaves at once, then says goodbye. A second signal does not wait for that. */
static void on_signal(evutil_socket_t signal, short what, void *context)
{
	struct client *client = context;

	(void)what;
	log_info("stopping: %s", strsignal((int)signal));
	if (client->stopping || !client->asked)
		return finish(client, 0);
	client->stopping = true;
	notify_service_manager("STOPPING=1");
	health_stop(client->health);
	event_del(client->retry);
	routes_close(client->routes, false);
	client->routes = NULL;
	interface_close(client->interface, false);
	client->interface = NULL;
	request_supervisor_start(&client->supervisor,
		is_wireguard(client) ? "/disconnect" : "/disconnect-ipip", client->tunnel.server,
		GOODBYE_TIME_MS);
}

static int take_lock(struct client *client)
{
	const char *name = client->config->interface;
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%s/client-lock-%s", RUN_FOLDER, name);
	/* A process that a killed client was about to start holds on to it a moment longer. */
	for (int i = 0; (client->lock = lock_take(path)) == -EWOULDBLOCK && i < LOCK_TRIES; i++)
		usleep(LOCK_PAUSE_MS * 1000);
	if (client->lock == -EWOULDBLOCK)
		log_error("another vprox client runs for %s: give another name with --interface",
			name);
	else if (client->lock < 0)
		log_error("cannot take the lock %s: %s", path, strerror(-client->lock));
	return client->lock < 0 ? client->lock : 0;
}

static int load_key(struct client *client)
{
	char path[PATH_SIZE];
	int error;

	snprintf(path, sizeof path, CLIENT_KEY_PREFIX "%s", client->config->interface);
	error = key_file_load_or_create(path, &client->private_key);
	if (error == 0)
		error = key_derive_public(&client->private_key, &client->supervisor.public_key);
	if (error < 0)
		log_error("cannot use the WireGuard key %s: %s", path,
			error == -EINVAL ? "it is no key; remove it to have a new one made"
					 : strerror(-error));
	return error;
}

static int add_events(struct client *client)
{
	static const int stop_signals[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
	bool ok = true;

	for (size_t i = 0; i < N_SIGNALS && ok; i++) {
		client->stop_signals[i] =
			evsignal_new(client->base, stop_signals[i], on_signal, client);
		ok = client->stop_signals[i] && event_add(client->stop_signals[i], NULL) == 0;
	}
	client->retry = evtimer_new(client->base, on_retry, client);
	client->health = health_new(client->base, on_tick, on_health, client);
	if (ok && client->retry && client->health)
		return 0;
	log_error("cannot set up the event loop");
	return -ENOMEM;
}

static int start(struct client *client)
{
	const struct request_supervisor *supervisor = &client->supervisor;
	int error = add_events(client);

	if (error == 0)
		error = request_supervisor_find_user(&client->supervisor);
	if (error == 0)
		error = rights_check(
			supervisor->user != geteuid() || supervisor->group != getegid());
	if (error == 0)
		error = take_lock(client);
	if (error == 0)
		error = load_key(client);
	if (error == 0)
		error = interface_open(client->config, &client->private_key, &client->interface);
	if (error == 0)
		error = routes_open(client->config, &client->routes);
	return error;
}

static void stop(struct client *client)
{
	request_supervisor_cancel(&client->supervisor);
	health_free(client->health);
	routes_close(client->routes, client->keep);
	interface_close(client->interface, client->keep);
	for (size_t i = 0; i < N_SIGNALS; i++)
		free_event(client->stop_signals[i]);
	free_event(client->retry);
	event_base_free(client->base);
	key_wipe(&client->private_key);
	if (client->lock >= 0)
		close(client->lock);
}

int client_run(const struct client_config *config)
{
	struct client client = {.config = config, .lock = -1, .backoff.random = backoff_random};

	log_info(
		"vprox %s (%s) connects to %s", version_number, version_git_commit, config->server);
	/* The reader of the log may go; the tunnel must not go with it. */
	signal(SIGPIPE, SIG_IGN);
	/* Whoever started us may have it ignored, and then no process's end could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	client.base = event_base_new();
	if (!client.base) {
		log_error("cannot make an event loop");
		return -ENOMEM;
	}
	client.supervisor = (struct request_supervisor){.config = config,
		.base = client.base,
		.on_result = on_result,
		.context = &client,
		.mark = CLIENT_FWMARK,
		.fd = -1};
	client.error = start(&client);
	if (client.error == 0) {
		ask(&client);
		event_base_dispatch(client.base);
	}
	stop(&client);
	return client.error;
}
