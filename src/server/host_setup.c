/* Tells host/ which endpoints it prepares the host for, and which of them stay. In the broker. */
#include "server/host_setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/firewall_confined.h"
#include "host/host.h"
#include "host/host_config.h"
#include "server/config.h"
#include "server/data_plane.h"
#include "server/destinations.h"
#include "server/endpoint.h"
#include "server/store_setup.h"

static struct host_endpoint describe(
	const struct server_config *config, const struct endpoint *endpoint)
{
	return (struct host_endpoint){
		.index = endpoint->config.index,
		.bind = endpoint->config.bind,
		.block = endpoint->config.block,
		.port = endpoint->config.port,
		.is_followed = server_config_follows(config, endpoint->config.bind),
	};
}

/* Of all to whom something is promised, wherever: their tunnels may be there already. */
static size_t describe_confining(const struct data_plane *data_plane, struct confining *confining)
{
	const struct promised *promised = &data_plane->store->promised;

	for (size_t i = 0; i < promised->n_peers; i++)
		confining[i] = destinations_of(&data_plane->name_rules, &promised->peers[i].name,
			promised->peers[i].inner);
	return promised->n_peers;
}

int host_setup(const struct data_plane *data_plane, struct event_base *base, struct host **host)
{
	const struct server_config *config = data_plane->config;
	size_t max = server_config_max_endpoints(config);
	auto_free struct host_endpoint *served = calloc(max, sizeof *served);
	auto_free struct confining *confining =
		calloc(data_plane->store->promised.n_peers + 1, sizeof *confining);
	struct host_config host_config = {
		.endpoints = served,
		.max_endpoints = max,
		.whole_block = config->whole_block,
		.block_length = config->block_length,
		.allow_peer_to_peer = config->allow_peer_to_peer,
		.shares_ipip = config->ipip_mode == IPIP_SHARED,
		.policy = config->egress,
		.internal.network = server_config_internal_network(config),
		.takes_over = config->store == STORE_ETCD && config->n_followed > 0,
	};
	const struct endpoint *endpoint;

	*host = NULL;
	if (!served || !confining) {
		log_error("cannot prepare the host: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (endpoint->is_served)
			served[host_config.n_endpoints++] = describe(config, endpoint);
	host_config.confining = confining;
	host_config.n_confining = describe_confining(data_plane, confining);
	return host_prepare(&host_config, base, host);
}

int host_setup_endpoint(
	struct host *host, const struct data_plane *data_plane, const struct endpoint *endpoint)
{
	const struct host_endpoint described = describe(data_plane->config, endpoint);

	return host_serve(host, &described);
}

int host_setup_undo(struct host *host, const struct data_plane *data_plane, bool started)
{
	const struct endpoint *endpoint;

	TAILQ_FOREACH (endpoint, &data_plane->endpoints, entry)
		if (endpoint->keep && endpoint->is_served)
			host_keep_endpoint(host, endpoint->config.bind);
	return host_restore(host, started);
}
