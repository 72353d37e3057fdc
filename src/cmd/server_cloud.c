/* Reads what `vprox server` is told of the cloud that its host is in. Runs in the server's process,
 * before it does anything. */
#include "cmd/server_cloud.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "server/config.h"

/* Empty means none: so a unit's file may have it that gives the name in a variable. */
int server_parse_cloud(const struct option_use *use, void *field)
{
	(void)field;
	return *use->text == '\0'
		       ? 0
		       : option_error(use, "not built yet; name the addresses with --ip");
}

int server_parse_region(const struct option_use *use, void *field)
{
	struct server_config *config = field;

	config->region = use->text;
	return 0;
}

int server_parse_internal_network(const struct option_use *use, void *field)
{
	struct server_config *config = field;

	return prefix_parse(use->text, &config->internal_network) == 0 &&
			       config->internal_network.length > 0
		       ? 0
		       : option_error(use, "not an IPv4 block such as 10.0.0.0/24");
}

int server_check_cloud(const struct server_config *config)
{
	const struct prefix internal = server_config_internal_network(config);

	if (internal.length == 0 || !prefix_overlaps(internal, config->whole_block))
		return 0;
	return usage_error(&command_server,
		"--internal-network-cidr %s: overlaps with --wg-block %s; choose another one",
		prefix_text(internal).s, prefix_text(config->whole_block).s);
}

void server_warn_of_cloud(const struct server_config *config)
{
	if (server_config_internal_network(config).length > 0)
		return;
	if (config->region)
		log_warning("--region %s: has no effect", config->region);
	if (config->internal_network.length > 0)
		log_warning("--internal-network-cidr %s: has no effect without --region us-west",
			prefix_text(config->internal_network).s);
}
