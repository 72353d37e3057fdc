/* What follows from a server's configuration. Runs in the broker. */
#include "server/config.h"

#include <string.h>

size_t server_config_max_endpoints(const struct server_config *config)
{
	uint64_t n_blocks = UINT64_C(1) << (config->block_length - config->whole_block.length);

	if (!server_config_expects_any(config) && !config->is_reloaded)
		return config->n_binds;
	return n_blocks < MAX_BINDS ? (size_t)n_blocks : MAX_BINDS;
}

bool server_config_has_bind(const struct server_config *config, struct ipv4 address)
{
	return ipv4_is_among(address, config->binds, config->n_binds);
}

bool server_config_names(const struct server_config *config, struct ipv4 address)
{
	return server_config_has_bind(config, address) || server_config_expects(config, address);
}

bool server_config_follows(const struct server_config *config, struct ipv4 address)
{
	for (size_t i = 0; i < config->n_followed; i++)
		if (prefix_contains(config->followed[i], address))
			return !server_config_has_bind(config, address);
	return false;
}

bool server_config_expects(const struct server_config *config, struct ipv4 address)
{
	return config->is_cloud ? !server_config_has_bind(config, address)
				: server_config_follows(config, address);
}

bool server_config_expects_any(const struct server_config *config)
{
	return config->is_cloud || config->n_followed > 0;
}

struct prefix server_config_internal_network(const struct server_config *config)
{
	static const struct prefix initial = {{0x0a000000}, 24}; /* 10.0.0.0/24 */

	if (!config->region || strcmp(config->region, "us-west") != 0)
		return (struct prefix){0};
	return config->internal_network.length > 0 ? config->internal_network : initial;
}
