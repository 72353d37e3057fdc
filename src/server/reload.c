/* Puts in force what has changed in the configuration. Runs in the broker's event loop, when it is
 * told to by a signal: no request is served meanwhile, and none sees one half of a change. What
 * tokens may reach comes to the peers that are there after it, some at a time. */
#include "server/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "host/host.h"
#include "ipc/token_set.h"
#include "server/config.h"
#include "server/config_source.h"
#include "server/data_plane.h"
#include "server/frontend.h"
#include "server/gate_setup.h"
#include "server/serving.h"

/* A followed address is others' to add and to remove, and one of --ip ours: whose it is cannot
 * change while tunnels hang on it. */
static int check_bind(
	const struct server_config *before, const struct server_config *now, struct ipv4 bind)
{
	if (!server_config_follows(before, bind) && !server_config_follows(now, bind) &&
		!before->is_cloud)
		return 0;
	log_error("restart to change %s between --ip and %s", ipv4_text(bind).s,
		before->is_cloud ? "--cloud" : "--follow");
	return -EBUSY;
}

/* In a fleet an address is claimed at the start. */
static int check_fleet(const struct server_config *before, const struct server_config *now)
{
	if (before->store != STORE_ETCD ||
		(before->n_binds == now->n_binds && before->n_followed == now->n_followed &&
			memcmp(before->binds, now->binds, sizeof now->binds) == 0 &&
			memcmp(before->followed, now->followed, sizeof now->followed) == 0))
		return 0;
	log_error("restart to change --ip or --follow with --store=etcd");
	return -EBUSY;
}

static int check(const struct server_config *before, const struct server_config *now)
{
	int error = check_fleet(before, now);

	for (size_t i = 0; i < before->n_binds && error == 0; i++)
		if (!server_config_has_bind(now, before->binds[i]))
			error = check_bind(before, now, before->binds[i]);
	for (size_t i = 0; i < now->n_binds && error == 0; i++)
		if (!server_config_has_bind(before, now->binds[i]))
			error = check_bind(before, now, now->binds[i]);
	return error;
}

static void tell_gates(const struct reload *reload)
{
	struct live_settings live = gate_setup_describe_live(reload->config);

	if (gate_supervisor_change(reload->serving->frontend->supervisor, &live) < 0)
		log_error("cannot tell the gates of the configuration: %s", strerror(ENOMEM));
	explicit_bzero(&live, sizeof live);
}

/* Who has a tunnel by a token that is none any more loses it, whatever the gates know. */
static void change_tokens(const struct reload *reload)
{
	int fd = token_set_write(reload->config->tokens);
	int error =
		fd < 0 ? fd : gate_supervisor_use_tokens(reload->serving->frontend->supervisor, fd);

	if (error < 0)
		log_error("cannot tell the gates of the tokens: %s", strerror(-error));
	reload->names(reload->context);
}

static void change_endpoints(const struct reload *reload)
{
	struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &reload->serving->data_plane->endpoints, entry)
		endpoint->max_peers_per_source = reload->config->max_peers_per_source;
}

/* What others have done meanwhile is seen to by host/ itself. What fails is tried again with the
 * next reload, as it differs then too. */
static void change_egress(const struct reload *reload, const struct server_config *before)
{
	if (host_change_policy(reload->serving->host, &reload->config->egress) == 0)
		return;
	log_error("what tunnels may reach stays as it was: the firewall cannot be loaded");
	reload->config->egress = before->egress;
}

static void end_removed(const struct reload *reload, const struct server_config *before)
{
	for (size_t i = 0; i < before->n_binds; i++)
		if (!server_config_has_bind(reload->config, before->binds[i]))
			serving_end(reload->serving, before->binds[i]);
}

/* One that cannot be served is as if it had not been named: with the next reload it is new. */
static void begin_added(const struct reload *reload, const struct server_config *before)
{
	struct server_config *config = reload->config;

	for (size_t i = 0; i < config->n_binds;) {
		struct ipv4 bind = config->binds[i];
		int error = server_config_has_bind(before, bind)
				    ? 0
				    : serving_begin(reload->serving, bind);

		if (error == 0) {
			i++;
			continue;
		}
		log_error("--ip %s: cannot be served, will be tried again with the next reload: %s",
			ipv4_text(bind).s, strerror(-error));
		config->binds[i] = config->binds[--config->n_binds];
	}
}

/* What goes makes room for what comes. */
static void apply(const struct reload *reload, const struct server_config *before)
{
	const struct server_config *config = reload->config;

	log_switch(config->log_level, config->log_format);
	change_endpoints(reload);
	tell_gates(reload);
	if (before->tokens != config->tokens)
		change_tokens(reload);
	if (memcmp(&before->egress, &config->egress, sizeof config->egress) != 0)
		change_egress(reload, before);
	if (before->reap_interval_ms != config->reap_interval_ms)
		reload->pace(reload->context);
	end_removed(reload, before);
	begin_added(reload, before);
	if (before->n_followed != config->n_followed ||
		memcmp(before->followed, config->followed, sizeof config->followed) != 0)
		reload->follow(reload->context);
}

/* What was in force is left in *config. */
static void swap(struct server_config *in_force, struct server_config *config)
{
	struct server_config before = *in_force;

	*in_force = *config;
	*config = before;
	explicit_bzero(&before, sizeof before);
}

static int read_again(const struct reload *reload, struct server_config *config)
{
	*config = *reload->config;
	return reload->source->read(reload->source->context, config);
}

void reload_say(const char *changes)
{
	log_info("configuration read again: %s", changes);
}

static int use(const struct reload *reload, struct server_config *config)
{
	const struct config_source *source = reload->source;
	int error = check(reload->config, config);
	const char *changes = source->settle(source->context, error == 0);

	if (error < 0)
		return error;
	swap(reload->config, config);
	apply(reload, config);
	reload->end(reload->context, changes);
	return 0;
}

int reload_configuration(const struct reload *reload)
{
	struct server_config *config = malloc(sizeof *config);
	int error = config ? read_again(reload, config) : -ENOMEM;

	if (error == 0)
		error = use(reload, config);
	if (error < 0 && error != -EALREADY)
		log_error("the configuration cannot be used, and stays as it was");
	if (config)
		explicit_bzero(config, sizeof *config);
	free(config);
	return error == -EALREADY ? error : 0;
}
