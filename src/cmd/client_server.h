/* The server that a command connects to, as the command line has it. */
#pragma once

#include "cmd/command.h"

struct client_config;

/* For a table: --pin. field is the struct client_config. */
int client_add_pin(const struct option_use *use, void *field);

/* A name, or an address: the operand. Returns 0, or -EINVAL with the fault written. */
int client_set_server(
	const struct command *command, struct client_config *config, const char *text);

/* Whether --pin, --cacert and --insecure go together. Returns as client_set_server(). */
int client_check_trust(const struct command *command, const struct client_config *config);
