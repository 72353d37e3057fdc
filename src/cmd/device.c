#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "device/run.h"

static const char usage[] =
	"Usage: vprox device [-f] [--workers N] [--no-bpf] IFNAME\n"
	"\n"
	"Makes a userspace network device for WireGuard and IPIP, to be set up with wg(8), in\n"
	"place of wireguard-go. It ends when the interface is deleted.\n"
	"\n"
	"  -f, --foreground  stay in the foreground\n"
	"      --workers N   threads that move packets (default: one a core)\n"
	"      --no-bpf      carry IPIP by a raw socket alone, also where the kernel can do "
	"better\n"
	"      --help        print this\n"
	"      --version     print the version\n"
	"\n"
	"Environment: LOG_LEVEL=error|warning|info|debug (or silent, verbose), and\n"
	"WG_PROCESS_FOREGROUND=1 for -f.\n";

enum {
	OPTION_HELP = 256,
	OPTION_VERSION,
	OPTION_WORKERS,
	OPTION_NO_BPF,
	WORKERS_MAX = 64,
};

static const struct option options[] = {
	{"foreground", no_argument, NULL, 'f'},
	{"workers", required_argument, NULL, OPTION_WORKERS},
	{"no-bpf", no_argument, NULL, OPTION_NO_BPF},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
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
		return -1;
	log_setup(level, LOG_FORMAT_TEXT, "device");
	return 0;
}

int cmd_device_main(int argc, char **argv)
{
	const char *foreground = getenv("WG_PROCESS_FOREGROUND");
	struct device_run_options run = {.foreground = foreground && strcmp(foreground, "1") == 0};
	int option;

	while ((option = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			run.foreground = true;
			break;
		case OPTION_WORKERS:
			if (option_parse_number(optarg, 1, WORKERS_MAX, &run.workers) < 0) {
				fprintf(stderr,
					"vprox device: --workers must be a number from 1 to %d\n",
					WORKERS_MAX);
				return STATUS_USAGE;
			}
			break;
		case OPTION_NO_BPF:
			run.no_bpf = true;
			break;
		case OPTION_HELP:
			fputs(usage, stdout);
			return STATUS_OK;
		case OPTION_VERSION:
			printf("vprox %s (%s)\n", version_number, version_git_commit);
			return STATUS_OK;
		default:
			fputs(usage, stderr);
			return STATUS_USAGE;
		}
	}
	if (optind + 1 != argc) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	run.name = argv[optind];
	if (*run.name == '\0' || strlen(run.name) >= IFNAMSIZ || strchr(run.name, '/')) {
		fprintf(stderr, "vprox device: %s is no interface name: 1 to %d characters, no /\n",
			run.name, IFNAMSIZ - 1);
		return STATUS_USAGE;
	}
	if (set_log_level() < 0) {
		fprintf(stderr, "vprox device: LOG_LEVEL must be error, warning, info or debug\n");
		return STATUS_USAGE;
	}
	return device_process(&run);
}
