/* Begins here: picks the subcommand, of those that people call and those that vprox itself starts
 * as further processes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/nearest.h"
#include "cmd/options.h"
#include "cmd/own_process.h"
#include "cmd/usage.h"

static const struct command *const commands[] = {
	&command_server,
	&command_connect,
	&command_exec,
	&command_status,
	&command_disconnect,
	&command_device,
	&command_show,
	&command_disconnect_peer,
	&command_list,
	&command_check,
	&command_clean,
	&command_fleet,
	&command_fleet_key,
	&command_token,
};

enum {
	N_COMMANDS = sizeof commands / sizeof *commands,
	SUMMARY_COLUMN = 19,
	OPTION_COLUMN = 17,
};

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: vprox COMMAND [OPTION...]\n\nCommands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		usage_print_entry(commands[i]->name, commands[i]->summary, SUMMARY_COLUMN, out);
	fprintf(out, "\nOptions:\n");
	usage_print_entry("-h, --help", "print this; `vprox COMMAND --help` prints the options",
		OPTION_COLUMN, out);
	usage_print_entry("    --version", usage_version.help, OPTION_COLUMN, out);
	fprintf(out, "\nSee vprox(8), and vprox-COMMAND(8) of each command.\n");
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *names[N_COMMANDS], *meant;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i]->name;
	meant = nearest_name(name, names, N_COMMANDS);
	if (meant)
		usage_error(NULL, "there is no command `%s`; did you mean `%s`?", name, meant);
	else
		usage_error(NULL, "there is no command `%s`", name);
	return STATUS_USAGE;
}

/* For the shell's completion: the names of all commands, or the options of one. */
static int print_for_completion(const char *name)
{
	const struct command *command = name ? find_command(name) : NULL;

	if (name && !command)
		return unknown_command(name);
	if (command)
		options_print_for_completion(command);
	for (size_t i = 0; !command && i < N_COMMANDS; i++)
		printf("%s\n", commands[i]->name);
	return STATUS_OK;
}

static int print_help(const char *name)
{
	const struct command *command = name ? find_command(name) : NULL;

	if (name && !command)
		return unknown_command(name);
	if (command)
		usage_print(command, stdout);
	else
		print_usage(stdout);
	return STATUS_OK;
}

static int print_version(const char *operand)
{
	(void)operand;
	usage_print_version();
	return STATUS_OK;
}

/* What has no options: the operand is NULL where there is none. */
static const struct {
	const char *name;
	int n_operands; /* that it may have */
	int (*run)(const char *operand);
} others[] = {
	{"--version", 0, print_version},
	{"version", 0, print_version},
	{"--help", 1, print_help},
	{"-h", 1, print_help},
	{"help", 1, print_help},
	{"completion", 1, print_for_completion},
};

/* What is no command of the table. */
static int run_other(int argc, char **argv)
{
	const char *name = argv[0];
	const struct own_process *process = own_process_find(name);

	if (process)
		return own_process_run(process, argc);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		int end = 1 + others[i].n_operands;

		if (strcmp(name, others[i].name) != 0)
			continue;
		if (argc > end) {
			usage_error(NULL, "%s: unexpected argument", argv[end]);
			return STATUS_USAGE;
		}
		return others[i].run(argc > 1 ? argv[1] : NULL);
	}
	return unknown_command(name);
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
	const struct command *command;

	fill_standard_streams();
	if (argc > 0 && is_called_device(argv[0]))
		return command_main(&command_device, argc, argv);
	if (argc < 2 || *argv[1] == '\0') {
		print_usage(stderr);
		return STATUS_USAGE;
	}
	command = find_command(argv[1]);
	return command ? command_main(command, argc - 1, argv + 1) : run_other(argc - 1, argv + 1);
}
