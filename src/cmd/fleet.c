/* `vprox fleet`: what an operator does to a host of a fleet. One process, which root starts. */
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/values.h"
#include "server/renumber.h"

struct fleet_command_config {
	bool is_dry_run;
};

static const struct command_option options[] = {
	{
		.name = "dry-run",
		.help = "print what would be given up, and change nothing",
		OPTION_FLAG(struct fleet_command_config, is_dry_run),
	},
	{0},
};

/* Of the choices there is one. */
static int run_fleet(void *configuration, const char *operand)
{
	const struct fleet_command_config *config = configuration;

	(void)operand;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "fleet");
	return renumber_host(config->is_dry_run) < 0 ? STATUS_FAILED : STATUS_OK;
}

const struct command command_fleet = {
	.name = "fleet",
	.summary = "have a host that joins a fleet give up what collides",
	.synopsis = "vprox fleet [--dry-run] renumber",
	.description =
		"`renumber` is for a host whose server did not start, since the number or the "
		"block of one of its endpoints belongs to another host of its fleet: removes the "
		"tunnels of each such endpoint and forgets who was promised an address there. The "
		"next server gives it a number that is free, and its clients get other addresses "
		"when they connect again, once. Refuses while a server runs.",
	.options = options,
	.operand = "renumber",
	.choices = "renumber",
	.configuration_size = sizeof(struct fleet_command_config),
	.run = run_fleet,
};
