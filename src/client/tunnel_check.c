/* Judges what the rounds of the health check bring. Runs in the client's one thread. */
#include "client/tunnel_check.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "client/command_netns.h"
#include "client/interface.h"

int tunnel_check_open(struct tunnel_check *check, struct event_base *base,
	const struct client_config *config, health_tick_fn *tick, health_result_fn *result,
	void *context)
{
	check->config = config;
	check->health = health_new(base, tick, result, context);
	if (!check->health)
		return -ENOMEM;
	if (config->netns)
		health_use_sockets(check->health, command_netns_echo_socket(config->netns),
			command_netns_stream_socket(config->netns));
	return 0;
}

void tunnel_check_close(struct tunnel_check *check)
{
	health_free(check->health);
	check->health = NULL;
}

void tunnel_check_begin(struct tunnel_check *check, const struct tunnel *tunnel)
{
	check->diagnosis = (struct diagnosis){
		.kind = check->config->tunnel, .tunnel = *tunnel, .since_ns = clock_wall_ns()};
}

static struct health_target target_of(const struct tunnel_check *check)
{
	return (struct health_target){.interface = check->config->interface,
		.mark = check->config->echo_mark,
		.gateway = tunnel_gateway(&check->tunnel),
		.server = check->tunnel.server};
}

int tunnel_check_start(struct tunnel_check *check, const struct tunnel *tunnel)
{
	struct health_target target;

	check->tunnel = *tunnel;
	target = target_of(check);
	return health_start(check->health, &target);
}

int tunnel_check_reopen(struct tunnel_check *check)
{
	const struct health_target target = target_of(check);

	return health_reopen(check->health, &target);
}

void tunnel_check_stop(struct tunnel_check *check)
{
	health_stop(check->health);
}

static void say_mute(struct tunnel_check *check, const char *otherwise)
{
	if (!check->is_mute)
		log_warning("no echo of %s comes back, but %s: the tunnel counts as up; is ICMP "
			    "echo filtered at the server?",
			ipv4_text(tunnel_gateway(&check->tunnel)).s, otherwise);
	check->is_mute = true;
}

static enum tunnel_verdict judge_silence(struct tunnel_check *check, struct interface *interface)
{
	struct diagnosis *diagnosis = &check->diagnosis;

	diagnosis->handshake_ns = interface_handshake(interface);
	if (diagnosis_is_alive(diagnosis, clock_wall_ns())) {
		say_mute(check, "the handshake is done");
		return TUNNEL_WORKS;
	}
	if (!diagnosis_wants_to_ask(diagnosis))
		return TUNNEL_FAILS;
	diagnosis->was_asked = true;
	return TUNNEL_UNEXPLAINED;
}

enum tunnel_verdict tunnel_check_judge(
	struct tunnel_check *check, enum health_sign sign, struct interface *interface)
{
	if (sign == HEALTH_NOTHING)
		return judge_silence(check, interface);
	check->diagnosis.has_answered = true;
	if (sign == HEALTH_CONNECTION)
		say_mute(check, "a connection through the tunnel is answered");
	else
		check->is_mute = false;
	return TUNNEL_WORKS;
}
