/* `vprox clean`: removes what an earlier server left on this host. One process, which root
 * starts. */
#include "base/log.h"
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

static int run_clean(void *configuration, const char *operand)
{
	const struct clean_config *config = configuration;

	(void)operand;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "clean");
	return clean_host(config->is_dry_run) < 0 ? STATUS_FAILED : STATUS_OK;
}

const struct command command_clean = {
	.name = "clean",
	.summary = "remove what an earlier server left on this host",
	.synopsis = "vprox clean [--dry-run]",
	.description =
		"Removes what an earlier server left on this host, and prints what: interfaces "
		"with their tunnels, addresses, policy rules and firewall rules. Keys stay. "
		"Refuses while a server runs.",
	.options = options,
	.configuration_size = sizeof(struct clean_config),
	.run = run_clean,
};
