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
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"
#include "base/notify.h"
#include "client/command_netns.h"
#include "client/client_state.h"
#include "client/grant_report.h"
#include "client/interface.h"
#include "client/refusal.h"

enum {
	NS_PER_S = 1000000000,
};

static bool was_granted(const struct client *client)
{
	return client->tunnel.length != 0;
}

bool client_must_go_on(const struct client *client)
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

void client_enter(struct client *client, enum client_phase phase)
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

void client_finish(struct client *client, enum client_end end)
{
	client->end = end;
	client_enter(client, CLIENT_ENDED);
}

static void ask_later(struct client *client, uint32_t ms)
{
	struct timeval time = timeval_from_ms(ms);

	log_debug("asking again in %u ms", ms);
	client_enter(client, CLIENT_WAITING);
	event_add(client->retry, &time);
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
	client_enter(client, CLIENT_CHECKING);
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
	if (error == -EEXIST && !client_must_go_on(client))
		return client_finish(client, CLIENT_FAILED);
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
	refusal_write(result, client_must_go_on(client), client->config, text, sizeof text);
	if (refusal_is_final(result, was_granted(client), client_must_go_on(client))) {
		log_error("%s: %s", client->config->server, text);
		return client_finish(client, CLIENT_REFUSED);
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

void client_on_result(void *context, const struct request_result *result)
{
	struct client *client = context;

	if (client->phase == CLIENT_LEAVING)
		return client_finish(client, client->end);
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
			return client_finish(client, CLIENT_REFUSED);
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

void client_on_tick(void *context)
{
	struct client *client = context;
	int error = interface_is_up(client->setup.interface)
			    ? local_setup_set_routes(&client->setup, &client->tunnel)
			    : make_again(client);

	if (error == 0)
		interface_set_mtu(client->setup.interface);
	if (error == -EEXIST && !client_must_go_on(client))
		client_finish(client, CLIENT_FAILED);
	else if (error < 0)
		ask_later(client, backoff_next(&client->backoff));
}

static void on_healthy(struct client *client)
{
	backoff_reset(&client->backoff);
	failure_log_forget(&client->failures);
	address_order_prove(&client->supervisor.order, client->tunnel.server);
	if (client->phase != CLIENT_UP)
		client_enter(client, CLIENT_UP);
	local_setup_set_name_servers(&client->setup, &client->resolvers);
	if (client->config->netns && start_command(client) < 0)
		return client_enter(client, CLIENT_LEAVING);
	if (client->config->once)
		client_enter(client, CLIENT_LEFT_UP);
}

void client_on_health(void *context, enum health_sign sign)
{
	struct client *client = context;

	switch (tunnel_check_judge(&client->check, sign, client->setup.interface)) {
	case TUNNEL_WORKS:
		return on_healthy(client);
	case TUNNEL_FAILS:
		return fail_check(client);
	case TUNNEL_UNEXPLAINED:
		return client_enter(client, CLIENT_EXPLAINING);
	}
}
