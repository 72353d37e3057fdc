/*
 * Writes down for the gates what the configuration means for them. Runs in the broker, at its
 * start.
 */
#include "server/gate_setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/user.h"
#include "ipc/issuer_fetch.h"
#include "ipc/signing.h"
#include "server/config.h"
#include "server/endpoint.h"
#include "server/identity.h"

/* One of its own, so that not even a gate without a filter could stop or trace it. */
static const char signer_user[] = "vprox-signer";
/* Likewise: what it reads comes from the Internet, and it has the way there. */
static const char fetcher_user[] = "vprox-oidc";

int gate_setup_find_user(const struct server_config *config, struct gate_config *gate)
{
	struct user user;
	int error = user_find(config->user, &user);

	if (error == -ENOENT)
		log_error("--user %s: there is no such user", user.name);
	else if (error < 0)
		log_error("--user %s: is root, or in its group: name a user without rights, "
			  "or leave --user out",
			user.name);
	gate->user = user.id;
	gate->group = user.group;
	return error;
}

/* Where gates and broker are one user, we may not have the right to be another. */
void gate_setup_choose_user(
	const char *name, const struct gate_config *gate, uint32_t *user, uint32_t *group)
{
	struct user own;

	*user = gate->user;
	*group = gate->group;
	if (gate->user == geteuid() || user_find_own(name, &own) < 0)
		return;
	*user = own.id;
	*group = own.group;
}

void gate_setup_describe_signer(struct signer_config *signer, const struct server_config *config,
	const struct gate_config *gate)
{
	*signer = (struct signer_config){
		.version = SIGNING_VERSION,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};
	gate_setup_choose_user(signer_user, gate, &signer->user, &signer->group);
}

void gate_setup_describe_fetcher(struct issuer_fetch_config *fetcher,
	const struct server_config *config, const struct gate_config *gate)
{
	*fetcher = (struct issuer_fetch_config){
		.version = ISSUER_FETCH_VERSION,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};
	gate_setup_choose_user(fetcher_user, gate, &fetcher->user, &fetcher->group);
}

/* Of the connections in all. Those of one source are not divided: the gates take them as they come,
 * not in turn, and count them together. */
static uint32_t share(unsigned int total, unsigned int n)
{
	return (total + n - 1) / n;
}

struct gate_endpoint gate_setup_describe_endpoint(const struct endpoint *endpoint)
{
	return (struct gate_endpoint){
		.bind = endpoint->config.bind,
		.block = endpoint->config.block,
		.public_key = endpoint->public_key,
		.port = endpoint->config.port,
		.control_port = CONTROL_PORT,
	};
}

struct live_settings gate_setup_describe_live(const struct server_config *config)
{
	return (struct live_settings){
		.bearer = config->bearer,
		.max_connections_per_source = config->max_connections_per_source,
		.log_level = config->log_level,
		.log_format = config->log_format,
	};
}

int gate_setup_describe(struct gate_settings *settings, const struct server_config *config,
	const struct identity *identity)
{
	struct gate_config *gate = &settings->config;

	gate->version = GATE_CONFIG_VERSION;
	gate->n_endpoints = 0;
	gate->max_endpoints = (uint32_t)server_config_max_endpoints(config);
	gate->n_gates = config->n_gates;
	gate->max_connections = share(config->max_connections, config->n_gates);
	gate->announced = config->announced;
	gate->has_issuers = config->n_issuers > 0;
	gate->live = gate_setup_describe_live(config);
	gate->certificate_length = (uint32_t)identity->certificate_length;
	settings->certificate = identity->certificate;
	if (source_counts_new_seed(&gate->seed) < 0)
		return -EIO;
	settings->endpoints = calloc(gate->max_endpoints, sizeof *settings->endpoints);
	return settings->endpoints ? 0 : -ENOMEM;
}
