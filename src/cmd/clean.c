/* `vprox clean`: removes what an earlier server, or a client, left on this host. One process, which
 * root starts. */
#include <string.h>

#include "base/log.h"
#include "base/rights.h"
#include "client/leftovers.h"
#include "client/resolv_conf.h"
#include "cmd/command.h"
#include "cmd/values.h"
#include "server/clean.h"

struct clean_config {
	bool is_dry_run;
};

static const struct command_option options[] = {
	{
		.name = "dry-run",
		.help = "print what there is, and remove nothing",
		OPTION_FLAG(struct clean_config, is_dry_run),
	},
	{0},
};

/* Of a client that was killed. */
static int put_back_resolv_conf(bool is_dry_run)
{
	int result = resolv_conf_take_back(NULL, is_dry_run);

	if (result > 0)
		log_info(is_dry_run ? "would put back " RESOLV_CONF : "put back " RESOLV_CONF);
	else if (result < 0)
		log_error("cannot put back " RESOLV_CONF ": %s", strerror(-result));
	return result;
}

static int run_clean(void *configuration, const char *operand)
{
	const struct clean_config *config = configuration;
	int clients, server, restored;

	(void)operand;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "clean");
	if (rights_check(false) < 0)
		return STATUS_FAILED;
	restored = put_back_resolv_conf(config->is_dry_run);
	clients = leftovers_remove(config->is_dry_run);
	server = clean_host(config->is_dry_run);
	if (clients == 0 && server == 0 && restored == 0)
		log_info("there is nothing to remove");
	return clients < 0 || server < 0 || restored < 0 ? STATUS_FAILED : STATUS_OK;
}

const struct command command_clean = {
	.name = "clean",
	.summary = "remove what an earlier server or client left on this host",
	.synopsis = "vprox clean [--dry-run]",
	.description =
		"Removes what an earlier server left on this host, and prints what: interfaces "
		"with their tunnels, addresses, policy rules and firewall rules. Keys stay. "
		"Refuses while a server runs. Of clients that do not run, it removes what "
		"keeps closed what --route named.",
	.options = options,
	.configuration_size = sizeof(struct clean_config),
	.run = run_clean,
};
