/* `vprox exec`: its command line. The process that is started is a client (client/client.c); the
 * command runs in namespaces that it makes before (client/command_netns.h). */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_run.h"
#include "client/command_init.h"
#include "client/command_netns.h"
#include "client/instance.h"
#include "cmd/client_password.h"
#include "cmd/client_server.h"
#include "cmd/command.h"
#include "cmd/github_token.h"
#include "cmd/usage.h"
#include "cmd/values.h"

enum { MOST_AT_ONCE = 1024 };

struct exec_config {
	struct client_config client;
	const char *user; /* NULL: the caller */
	char **words;
};

static const struct command_option options[] = {
	{
		.group = "Tunnel",
		.name = "tunnel",
		.argument = "wireguard|ipip",
		.initial = "wireguard",
		.help = "which kind of tunnel to ask for",
		OPTION_CHOICE(struct exec_config, client.tunnel),
	},
	{
		.name = "plane",
		.argument = "auto|kernel|embedded",
		.initial = "auto",
		.help = "what carries the traffic",
		OPTION_CHOICE(struct exec_config, client.plane),
	},
	{
		.name = "dns",
		.argument = "ADDRESS",
		.is_repeatable = true,
		.otherwise = "those that the server announces",
		.help = "the name servers that the command asks, through the tunnel",
		OPTION_RESOLVER(struct exec_config, client.dns),
	},
	{
		.name = "allow-inbound",
		.help = "let others than those who are answered reach the command out of the "
			"tunnel",
		OPTION_FLAG(struct exec_config, client.allow_inbound),
	},
	{
		.name = "user",
		.argument = "USER",
		.otherwise = "who called sudo, or else this one",
		.help = "whom the command runs as",
		OPTION_TEXT(struct exec_config, user),
	},
	{
		.name = "timeout",
		.argument = "TIME",
		.initial = "1m",
		.help = "give up if the tunnel does not work within this time",
		OPTION_TIME(struct exec_config, client.timeout_ms),
	},
	CLIENT_TRUST_OPTIONS(struct exec_config, client.),
	CLIENT_SECRET_OPTIONS(struct exec_config, client., NULL),
	{
		.group = "Log",
		.name = "log-level",
		.argument = "error|warning|info|debug",
		.initial = "warning",
		.help = "what to log, to standard error",
		OPTION_CHOICE(struct exec_config, client.log_level),
	},
	{
		.name = "log-format",
		.argument = "text|json",
		.initial = "text",
		.help = "how to write it",
		OPTION_CHOICE(struct exec_config, client.log_format),
	},
	{0},
};

/* Names of interfaces. IPIP is one tunnel an address of this host: a second one would take the
 * first one's packets. */
static int take_name(struct client_config *client, char name[INSTANCE_NAME_SIZE])
{
	const bool is_ipip = client->tunnel == TUNNEL_IPIP;

	client->interface = name;
	client->lock = instance_lock_any(
		is_ipip ? "vprox-ipip" : "vprox-exec", is_ipip ? 1 : MOST_AT_ONCE, name);
	if (client->lock == -EWOULDBLOCK)
		log_error("%s", is_ipip ? "another `vprox exec --tunnel=ipip` runs: IPIP is one "
					  "tunnel for each address of this host"
					: "1024 of `vprox exec` run already: wait until "
					  "one has ended");
	return client->lock < 0 ? client->lock : 0;
}

static int find_user(const struct exec_config *config, struct command_user *user)
{
	int error = command_user_find(config->user, user);

	if (error < 0)
		log_error("--user %s: %s", config->user ? config->user : "(the caller)",
			error == -ENOENT ? "there is no such user" : strerror(-error));
	else if (user->id == 0)
		log_info("the command runs as root, though without capabilities: --user names "
			 "another user");
	return error;
}

/* Returns an exit status. */
static int run(struct exec_config *config, const struct client_password *password)
{
	char name[INSTANCE_NAME_SIZE];
	struct command_user user;
	struct command_plan plan = {.arguments = config->words,
		.user = &user,
		.password = password->now.current,
		/* GitHub's steps get their own tokens by it */
		.variable = config->client.token_source ? GITHUB_BEARER : NULL,
		.value = password->source.bearer,
		.allow_inbound = config->client.allow_inbound};
	int status = COMMAND_NOT_RUN;

	if (find_user(config, &user) < 0 || command_netns_open(&plan, &config->client.netns) < 0)
		return COMMAND_NOT_RUN;
	if (take_name(&config->client, name) == 0) {
		client_run(&config->client);
		status = command_netns_status(config->client.netns);
	}
	command_netns_free(config->client.netns);
	return status;
}

static int run_exec(void *configuration, const char *server)
{
	struct exec_config *config = configuration;
	struct client_password password;
	int status;

	if (client_check_trust(&command_exec, &config->client) < 0 ||
		client_set_server(&command_exec, &config->client, server) < 0)
		return STATUS_USAGE;
	if (client_password_open(&password, &command_exec, &config->client) < 0)
		return STATUS_USAGE;
	log_setup(config->client.log_level, config->client.log_format, "exec");
	client_password_check(&password);
	status = run(config, &password);
	client_password_close(&password);
	return status;
}

const struct command command_exec = {
	.name = "exec",
	.summary = "run one command, whose only way out is a tunnel",
	.synopsis = "VPROX_PASSWORD=... vprox exec [OPTION...] SERVER -- COMMAND...",
	.description =
		"Runs COMMAND in a network namespace in which there is nothing but a tunnel to the "
		"vprox server at SERVER, and takes the tunnel down when it has ended. Nothing "
		"of this host's own network is changed.",
	.options = options,
	.closing = "A TIME is a number with ms, s, m or h behind it; without, it is in seconds.\n"
		   "\n"
		   "The exit status is the command's; 125: it was not run.\n"
		   "\n"
		   "The server's password is read from the file, or from the environment, "
		   "VPROX_PASSWORD; a token from its file, or VPROX_OIDC_TOKEN, or got from "
		   "GitHub. The command gets none of these; what a step of GitHub Actions gets "
		   "tokens with it keeps.",
	.operand = "SERVER",
	.words = "COMMAND",
	.words_offset = offsetof(struct exec_config, words),
	.configuration_size = sizeof(struct exec_config),
	.run = run_exec,
};
