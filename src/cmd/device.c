/* `vprox device`: its command line. The process that is started becomes the device; what that is
 * begins in device/run.c. */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "device/run.h"

enum {
	WORKERS_MAX = 64,
};

static const struct command_option options[] = {
	{
		.name = "foreground",
		.letter = 'f',
		.help = "stay in the foreground",
		OPTION_FLAG(struct device_run_options, foreground),
	},
	{
		.name = "workers",
		.argument = "N",
		.otherwise = "one a core",
		.help = "threads that move packets",
		OPTION_COUNT(struct device_run_options, workers),
		.min = 1,
		.max = WORKERS_MAX,
	},
	{
		.name = "no-bpf",
		.help = "carry IPIP by a raw socket alone, also where the kernel can do better",
		OPTION_FLAG(struct device_run_options, no_bpf),
	},
	{
		.name = "replace",
		.help = "take the place of the process that has this device, without a packet lost",
		/* The process that comes has what the one that goes had. */
		.not_with = "--workers --no-bpf",
		OPTION_FLAG(struct device_run_options, replace),
	},
	{0},
};

/* The names that wireguard-go has, too. */
static int set_log_level(void)
{
	const char *text = getenv("LOG_LEVEL");
	enum log_level level = LOG_LEVEL_INFO;

	if (!text || *text == '\0')
		text = "info";
	else if (strcmp(text, "silent") == 0)
		text = "error";
	else if (strcmp(text, "verbose") == 0)
		text = "debug";
	if (log_level_parse(text, &level) < 0)
		return usage_error(&command_device,
			"LOG_LEVEL=%s in the environment: must be error, warning, info or debug",
			text);
	log_setup(level, LOG_FORMAT_TEXT, "device");
	return 0;
}

static int run_device(void *configuration, const char *operand)
{
	const char *foreground = getenv("WG_PROCESS_FOREGROUND");
	struct device_run_options *run = configuration;

	if (*operand == '\0' || strlen(operand) >= IFNAMSIZ || strchr(operand, '/')) {
		usage_error(&command_device,
			"%s: not an interface name: 1 to %d characters, without /", operand,
			IFNAMSIZ - 1);
		return STATUS_USAGE;
	}
	if (set_log_level() < 0)
		return STATUS_USAGE;
	run->name = operand;
	if (foreground && strcmp(foreground, "1") == 0)
		run->foreground = true;
	return device_process(run);
}

const struct command command_device = {
	.name = "device",
	.summary = "be a userspace network device for WireGuard and IPIP",
	.synopsis = "vprox device [OPTION...] IFNAME",
	.description =
		"Makes a userspace network device for WireGuard and IPIP, to be set up with "
		"wg(8), in place of wireguard-go. It ends when the interface is deleted, or its "
		"control socket removed.",
	.options = options,
	.closing = "Environment: LOG_LEVEL=error|warning|info|debug (or silent, verbose), and "
		   "WG_PROCESS_FOREGROUND=1 for -f.",
	.operand = "IFNAME",
	.configuration_size = sizeof(struct device_run_options),
	.run = run_device,
};
