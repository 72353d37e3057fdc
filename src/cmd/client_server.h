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
			.not_with = "--pin --cacert",                                              \
			OPTION_FLAG(type, at insecure),                                            \
		},                                                                                 \
	{                                                                                          \
		.name = "known-servers", .argument = "FILE", .initial = KNOWN_SERVERS,             \
		.help = "where first times are remembered",                                        \
		.not_with = "--pin --cacert --insecure", OPTION_PATH(type, at known_servers),      \
	}

/*
 * For a table: what a client shows the server. type and at as above; with: what these need beside
 * them, NULL: nothing.
 */
#define CLIENT_SECRET_OPTIONS(type, at, with)                                                      \
	{                                                                                          \
		.group = "What the server is shown",                                               \
		.name = "password-file",                                                           \
		.argument = "FILE",                                                                \
		.otherwise = "that of VPROX_PASSWORD",                                             \
		.help = "a file with the server's password on its first line",                     \
		.only_with = (with),                                                               \
		OPTION_PATH(type, at password_file),                                               \
	},                                                                                         \
		{                                                                                  \
			.name = "token-file",                                                      \
			.argument = "FILE",                                                        \
			.otherwise = "the password is shown",                                      \
			.help = "a file with a token of this client's own, in place of the "       \
				"password",                                                        \
			.only_with = (with),                                                       \
			.not_with = "--password-file",                                             \
			OPTION_PATH(type, at token_file),                                          \
		},                                                                                 \
	{                                                                                          \
		.name = "oidc-github", .argument = "AUDIENCE",                                     \
		.otherwise = "the password is shown",                                              \
		.help = "get tokens for AUDIENCE as a step of GitHub Actions, in place of the "    \
			"password",                                                                \
		.only_with = (with), .not_with = "--password-file --token-file",                   \
		OPTION_TEXT(type, at oidc_github),                                                 \
	}

/* A name, or an address: the operand. Returns 0, or -EINVAL with the fault written. */
int client_set_server(
	const struct command *command, struct client_config *config, const char *text);

/* Whether the file of --cacert is there. Returns as client_set_server(). */
int client_check_trust(const struct command *command, const struct client_config *config);
