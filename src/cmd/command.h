/* The subcommands: one file each, listed in main.c. */
#pragma once

#include <stdbool.h>

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2, /* the command line is wrong */
};

struct command {
	const char *name;
	/* argv[0] is the subcommand's name. Returns the exit status. */
	int (*main)(int argc, char **argv);
	const char *summary; /* NULL: not for people */
};

int cmd_server_main(int argc, char **argv);
int cmd_device_main(int argc, char **argv);
int cmd_clean_main(int argc, char **argv);
int cmd_list_main(int argc, char **argv);
int cmd_show_main(int argc, char **argv);
int cmd_connect_main(int argc, char **argv);
int cmd_fetch_main(int argc, char **argv);
int cmd_gate_main(int argc, char **argv);
