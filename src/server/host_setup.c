/* Tells host/ which endpoints it prepares the host for, and which of them stay. In the broker, at
 * its start and end. */
#include "server/host_setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "host/host.h"
#include "host/host_config.h"
#include "server/config.h"
#include "server/endpoint.h"

int host_setup(const struct server_config *config, const struct endpoint *endpoints,
	struct event_base *base, struct host **host)
{
	auto_free struct host_endpoint *served = calloc(config->n_binds, sizeof *served);
	const struct host_config host_config = {
		.endpoints = served,
		.n_endpoints = config->n_binds,
		.whole_block = config->whole_block,
		.allow_peer_to_peer = config->allow_peer_to_peer,
		.policy = config->egress,
	};

	*host = NULL;
	if (!served) {
		log_error("cannot prepare the host: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->n_binds; i++)
		served[i] = (struct host_endpoint){
			.index = endpoints[i].config.index,
			.bind = endpoints[i].config.bind,
			.block = endpoints[i].config.block,
			.port = endpoints[i].config.port,
		};
	return host_prepare(&host_config, base, host);
}

int host_setup_undo(
	struct host *host, const struct endpoint *endpoints, size_t n_endpoints, bool started)
{
	for (size_t i = 0; host && i < n_endpoints; i++)
		if (endpoints[i].keep)
			host_keep_endpoint(host, i);
	return host_restore(host, started);
}
