/* Picks the subcommand. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "cmd/command.h"

static const struct command commands[] = {
	{"server", cmd_server_main,
		"give tunnels to clients, and let them out with this host's addresses"},
	{"connect", cmd_connect_main, "keep up a tunnel to a vprox server"},
	{"device", cmd_device_main, "be a userspace network device for WireGuard and IPIP"},
	{"show", cmd_show_main, "show the server that runs on this host, and its clients"},
	{"list", cmd_list_main, "name the WireGuard interfaces of this host"},
	{"clean", cmd_clean_main, "remove what an earlier server left on this host"},
	{"gate", cmd_gate_main, NULL},
	{"fetch", cmd_fetch_main, NULL},
};

enum {
	N_COMMANDS = sizeof commands / sizeof *commands,
};

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: vprox COMMAND [OPTION...]\n\nCommands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (commands[i].summary)
			fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`vprox COMMAND --help` says more, and so does vprox(8).\n");
}

/* Under this name wg-quick starts it, as WG_QUICK_USERSPACE_IMPLEMENTATION. */
static bool is_called_device(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, "vprox-device") == 0;
}

/* Whoever started us may have closed them, and what is opened next must not be taken for one of
 * them: the log would be written into it. */
static void fill_standard_streams(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd < STDERR_FILENO)
		fd = dup(fd);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	fill_standard_streams();
	if (argc > 0 && is_called_device(argv[0]))
		return cmd_device_main(argc, argv);
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	if (strcmp(name, "--version") == 0) {
		printf("vprox %s (%s)\n", version_number, version_git_commit);
		return STATUS_OK;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return STATUS_OK;
	}
	if (*name)
		fprintf(stderr, "vprox: there is no command `%s`\n\n", name);
	print_usage(stderr);
	return STATUS_USAGE;
}
