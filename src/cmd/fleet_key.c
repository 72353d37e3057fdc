/* `vprox fleet-key`: makes the file of a fleet's key, and changes which key it is. One process,
 * which people start. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fleet_key.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/usage.h"
#include "cmd/values.h"

struct fleet_key_config {
	bool add, swap, drop;
};

static const struct command_option options[] = {
	{
		.name = "add",
		.help = "add a new key, which opens what is stored, and seals nothing yet",
		OPTION_FLAG(struct fleet_key_config, add),
	},
	{
		.name = "swap",
		.help = "have the key seal that only opened, and the other way round",
		OPTION_FLAG(struct fleet_key_config, swap),
	},
	{
		.name = "drop",
		.help = "remove the key that only opens",
		OPTION_FLAG(struct fleet_key_config, drop),
	},
	{0},
};

static int make(const char *path)
{
	struct fleet_keys keys = {.n = 1};
	int error = fleet_key_generate(&keys.keys[0]);

	if (error == 0)
		error = fleet_keys_create(path, &keys);
	fleet_keys_wipe(&keys);
	return error;
}

/* Returns 0, -EALREADY if the file has not as many keys as this needs, or -errno. */
static int change_keys(const struct fleet_key_config *config, struct fleet_keys *keys)
{
	const struct key first = keys->keys[0];

	if (keys->n != (config->add ? 1 : FLEET_KEYS_MAX))
		return -EALREADY;
	if (config->drop) {
		keys->n = 1;
		return 0;
	}
	if (config->add) {
		keys->n = FLEET_KEYS_MAX;
		return fleet_key_generate(&keys->keys[1]);
	}
	keys->keys[0] = keys->keys[1];
	keys->keys[1] = first;
	return 0;
}

static int change(const struct fleet_key_config *config, const char *path)
{
	struct fleet_keys keys = {.n = 0};
	int error = fleet_keys_load(path, &keys);

	if (error == 0)
		error = change_keys(config, &keys);
	if (error == 0)
		error = fleet_keys_replace(path, &keys);
	fleet_keys_wipe(&keys);
	return error;
}

static const char *reason(const struct fleet_key_config *config, int error)
{
	if (error == -EALREADY)
		return config->add ? "it has two keys already" : "it has one key only";
	if (error == -EINVAL)
		return "it is not the file of a fleet's key";
	if (error == -EEXIST)
		return "it is there already, and stays as it is: --add, --swap and --drop change "
		       "it";
	return strerror(-error);
}

static int run_fleet_key(void *configuration, const char *operand)
{
	const struct fleet_key_config *config = configuration;
	const int n_changes = config->add + config->swap + config->drop;
	int error;

	if (!operand)
		return usage_error(&command_fleet_key, "FILE is missing"), STATUS_USAGE;
	if (n_changes > 1)
		return usage_error(&command_fleet_key, "--add, --swap and --drop: one at a time"),
		       STATUS_USAGE;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "fleet-key");
	error = n_changes == 0 ? make(operand) : change(config, operand);
	if (error < 0)
		log_error("%s: %s", operand, reason(config, error));
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}

const struct command command_fleet_key = {
	.name = "fleet-key",
	.summary = "make the key that hosts with a common store have in common",
	.synopsis = "vprox fleet-key [--add|--swap|--drop] FILE",
	.description = "Makes a new key in FILE, for `vprox server --fleet-key`: all hosts of a "
		       "fleet need the same. A file that is there is changed by an option alone.",
	.closing = "To change the key of a fleet: --add, and bring FILE to all hosts; --swap, and "
		   "bring it to all hosts and restart their servers; --drop, and likewise.",
	.options = options,
	.operand = "FILE",
	.configuration_size = sizeof(struct fleet_key_config),
	.run = run_fleet_key,
};
