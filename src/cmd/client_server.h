/* The server that a command connects to, as the command line has it. */
#pragma once

#include "cmd/command.h"

struct client_config;

/* For a table: --pin. field is the struct client_config. */
int client_add_pin(const struct option_use *use, void *field);

/*
 * For a table: who the server is. type: the command's configuration, which begins with a struct
 * client_config; at: nothing if it is one, else that member's name and a dot.
 */
#define CLIENT_TRUST_OPTIONS(type, at)                                                             \
	{                                                                                          \
		.group = "Who the server is (by default, whoever it was the first time)",          \
		.name = "pin",                                                                     \
		.argument = "sha256//BASE64",                                                      \
		.is_repeatable = true,                                                             \
		.help = "its TLS public key, as the server prints it at start; several for hosts " \
			"that share an address",                                                   \
		.parse = client_add_pin,                                                           \
	},                                                                                         \
		{                                                                                  \
			.name = "cacert",                                                          \
			.argument = "FILE",                                                        \
			.help = "trust a server whose certificate is in this file, or signed by "  \
				"one that is (PEM)",                                               \
			OPTION_PATH(type, at ca_file),                                             \
		},                                                                                 \
		{                                                                                  \
			.name = "insecure",                                                        \
			.help = "trust anybody: the password goes to whoever answers",             \
			OPTION_FLAG(type, at insecure),                                            \
		},                                                                                 \
	{                                                                                          \
		.name = "known-servers", .argument = "FILE", .initial = KNOWN_SERVERS,             \
		.help = "where first times are remembered", OPTION_PATH(type, at known_servers),   \
	}

/* A name, or an address: the operand. Returns 0, or -EINVAL with the fault written. */
int client_set_server(
	const struct command *command, struct client_config *config, const char *text);

/* Whether --pin, --cacert and --insecure go together. Returns as client_set_server(). */
int client_check_trust(const struct command *command, const struct client_config *config);
