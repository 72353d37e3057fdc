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
		.not_with = "--add",
		OPTION_FLAG(struct fleet_key_config, swap),
	},
	{
		.name = "drop",
		.help = "remove the key that only opens",
		.not_with = "--add --swap",
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
	const bool is_change = config->add || config->swap || config->drop;

	if (error == -EALREADY)
		return config->add ? "it has two keys already: first end the change that is under "
				     "way, with --swap and --drop"
				   : "it has one key only: --add gives it another one, which is to "
				     "be on all hosts before --swap";
	if (error == -EINVAL)
		return "it is not the file of a fleet's key: name the one that `vprox fleet-key` "
		       "has made, or a new one without an option";
	if (error == -EEXIST)
		return "it is there already, and stays as it is: --add, --swap and --drop change "
		       "it";
	if (error == -ENOENT)
		return is_change ? "there is no such file: without an option it is made"
				 : "there is no such folder: make it first";
	return strerror(-error);
}

#define ON_ALL_HOSTS "bring it to all hosts and restart their servers, one by one"

static const char *next_step(const struct fleet_key_config *config)
{
	if (config->add)
		return "has a second key: " ON_ALL_HOSTS ", then --swap";
	if (config->swap)
		return "the keys are swapped: " ON_ALL_HOSTS
		       ", then --drop, once `vprox show` says "
		       "that the second key is not needed";
	if (config->drop)
		return "has one key: " ON_ALL_HOSTS;
	return "made: bring it to all hosts of the fleet, for --fleet-key of their servers";
}

static int run_fleet_key(void *configuration, const char *operand)
{
	const struct fleet_key_config *config = configuration;
	const bool is_change = config->add || config->swap || config->drop;
	int error;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "fleet-key");
	error = is_change ? change(config, operand) : make(operand);
	if (error < 0)
		log_error("%s: %s", operand, reason(config, error));
	else
		log_info("%s: %s", operand, next_step(config));
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
