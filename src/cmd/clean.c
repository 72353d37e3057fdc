#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "cmd/command.h"
#include "server/clean.h"

static const char usage[] =
	"Usage: vprox clean [--dry-run]\n"
	"\n"
	"Removes what an earlier server left on this host, and says what: interfaces with their "
	"tunnels,\n"
	"addresses, policy rules and firewall rules. Keys stay. Refuses while a server runs.\n"
	"\n"
	"  --dry-run  say what there is, and remove nothing\n"
	"  --help     print this\n";

enum {
	OPTION_DRY_RUN = 256,
	OPTION_HELP,
};

static const struct option options[] = {
	{"dry-run", no_argument, NULL, OPTION_DRY_RUN},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

int cmd_clean_main(int argc, char **argv)
{
	bool only_tell = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_DRY_RUN) {
			only_tell = true;
			continue;
		}
		fputs(usage, option == OPTION_HELP ? stdout : stderr);
		return option == OPTION_HELP ? STATUS_OK : STATUS_USAGE;
	}
	if (optind < argc) {
		fprintf(stderr, "vprox clean: %s: not an option\n\n", argv[optind]);
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_PLAIN, "clean");
	return clean_up(only_tell) < 0 ? STATUS_FAILED : STATUS_OK;
}
