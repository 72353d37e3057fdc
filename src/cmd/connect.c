/* `vprox connect`: its command line. The process that is started is the client; what it does begins
 * in client/client.c. */
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client/client_run.h"
#include "client/config.h"
#include "client/egress_block.h"
#include "client/request_message.h"
#include "cmd/client_password.h"
#include "cmd/client_server.h"
#include "client/tunnel_mtu.h"
#include "cmd/command.h"
#include "cmd/usage.h"
#include "cmd/values.h"

/* Beside those that all commands have. */
enum {
	STATUS_REFUSED = 3,
	STATUS_UNREACHABLE = 4,
	STATUS_NO_HANDSHAKE = 5,
};

/* What the kernel takes as a name, and no part of a path: it becomes one, where ~ is for what is
 * being written. And what nft takes as that name and no other. 0xa0 is a blank to the kernel. */
static int parse_interface(const struct option_use *use, void *field)
{
	const char *text = use->text;
	size_t n = strlen(text);

	if (n == 0 || n >= IFNAMSIZ || text[0] == '.' || strpbrk(text, "/: \t\n\v\f\r\xa0%\"*~\\"))
		return option_error(use,
			"not a name of 1 to %d characters without / : %% * ~ \" and \\",
			IFNAMSIZ - 1);
	if (strcmp(text, "all") == 0 || strcmp(text, "default") == 0)
		return option_error(use,
			"no interface can have this name: Linux has settings of "
			"%s interfaces under it",
			strcmp(text, "all") == 0 ? "all" : "new");
	*(const char **)field = text;
	return 0;
}

static int add_route(const struct option_use *use, void *field)
{
	struct client_config *config = field;

	if (config->n_routes == MAX_ROUTES)
		return option_error(use, "there are %d already, more are not possible", MAX_ROUTES);
	if (prefix_parse(use->text, &config->routes[config->n_routes]) < 0)
		return option_error(use, "not a block such as 10.0.0.0/8");
	config->n_routes++;
	return 0;
}

static int add_exception(const struct option_use *use, void *field)
{
	struct client_config *config = field;

	if (strcmp(use->text, "none") == 0) {
		config->no_default_exceptions = true;
		return 0;
	}
	if (config->n_exceptions == MAX_ROUTES)
		return option_error(use, "there are %d already, more are not possible", MAX_ROUTES);
	if (prefix_parse(use->text, &config->exceptions[config->n_exceptions]) < 0)
		return option_error(use, "not a block such as 10.0.0.0/8, nor none");
	config->n_exceptions++;
	return 0;
}

static const struct command_option options[] = {
	{
		.group = "Tunnel",
		.name = "interface",
		.argument = "NAME",
		.initial = "vprox0",
		.help = "the network interface to make",
		OPTION_FIELD(struct client_config, interface, const char *, parse_interface),
	},
	{
		.name = "tunnel",
		.argument = "wireguard|ipip",
		.initial = "wireguard",
		.help = "which kind of tunnel to ask for",
		OPTION_CHOICE(struct client_config, tunnel),
	},
	{
		.name = "plane",
		.argument = "auto|kernel|embedded",
		.initial = "auto",
		.help = "what carries the traffic",
		OPTION_CHOICE(struct client_config, plane),
	},
	{
		.name = "mtu",
		.argument = "BYTES",
		.otherwise = "what the way to the server has room for",
		.help = "the interface's MTU",
		OPTION_COUNT(struct client_config, mtu),
		.min = MTU_MIN,
		.max = MTU_MAX,
	},
	{
		.name = "route",
		.argument = "CIDR",
		.is_repeatable = true,
		.help = "send these addresses through the tunnel; 0.0.0.0/0 is all of them",
		.parse = add_route,
	},
	{
		.name = "except",
		.argument = "CIDR|none",
		.is_repeatable = true,
		.help = "but not these; none: not even 169.254.0.0/16 and 168.63.129.16, which are "
			"left out by default",
		.only_with = "--route",
		.parse = add_exception,
	},
	{
		.name = "dns",
		.argument = "ADDRESS",
		.is_repeatable = true,
		.otherwise = "with --route 0.0.0.0/0 those that the server announces",
		.help = "have this host ask this name server while there is a tunnel",
		OPTION_RESOLVER(struct client_config, dns),
	},
	{
		.name = "ipv6",
		.argument = "block|leave",
		.initial = "block",
		.help = "what becomes of IPv6, which no tunnel carries, with --route 0.0.0.0/0",
		.only_with = "--route=*/0 --route=*/1",
		OPTION_CHOICE(struct client_config, ipv6),
	},
	{
		.name = "block",
		.argument = "own|keep|only|open",
		.initial = "own",
		.help = "nothing that --route names leaves beside the tunnel: while there is a "
			"client; also after it; without one; or not any more",
		/* The service has its own choice, beside options that are the client's. */
		.variable = "VPROX_BLOCK",
		.only_with = "--route --block=only --block=open",
		OPTION_CHOICE(struct client_config, block),
	},
	{
		.name = "no-block",
		.help = "set routes for --route, and block nothing beside the tunnel",
		.only_with = "--route",
		.not_with = "--block=own --block=keep",
		OPTION_FLAG(struct client_config, no_block),
	},
	{
		.name = "allow-inbound",
		.help = "let others than those who are answered reach this host out of the tunnel",
		OPTION_FLAG(struct client_config, allow_inbound),
	},
	CLIENT_TRUST_OPTIONS(struct client_config, ),
	CLIENT_SECRET_OPTIONS(struct client_config, , NULL),
	{
		.group = "Others",
		.name = "once",
		.help = "exit when the tunnel is up, and leave it there",
		OPTION_FLAG(struct client_config, once),
	},
	{
		.name = "timeout",
		.argument = "TIME",
		.otherwise = "60s with --once, else for as long as it takes",
		.help = "give up if there was no tunnel in that time",
		OPTION_TIME(struct client_config, timeout_ms),
	},
	{
		.name = "json",
		.help = "print what was assigned, an object a line",
		OPTION_FLAG(struct client_config, json),
	},
	{
		.name = "log-level",
		.argument = "error|warning|info|debug",
		.initial = "info",
		.help = "what to log, to standard error",
		OPTION_CHOICE(struct client_config, log_level),
	},
	{
		.name = "log-format",
		.argument = "text|json",
		.initial = "text",
		.help = "how to write it",
		OPTION_CHOICE(struct client_config, log_format),
	},
	{0},
};

static int exit_status(enum client_end end)
{
	static const int statuses[] = {
		[CLIENT_DONE] = STATUS_OK,
		[CLIENT_FAILED] = STATUS_FAILED,
		[CLIENT_REFUSED] = STATUS_REFUSED,
		[CLIENT_UNREACHABLE] = STATUS_UNREACHABLE,
		[CLIENT_NO_HANDSHAKE] = STATUS_NO_HANDSHAKE,
	};

	return statuses[end];
}

/* Neither a server is asked nor a password needed. */
static int run_block(const struct client_config *config)
{
	log_setup(config->log_level, config->log_format, "connect");
	return egress_block_once(config) < 0 ? STATUS_FAILED : STATUS_OK;
}

static int run_connect(void *configuration, const char *server)
{
	struct client_config *config = configuration;
	auto_free char *credential = passwords_find_credential();
	struct client_password password;
	int status;

	if (client_check_trust(&command_connect, config) < 0 ||
		client_set_server(&command_connect, config, server) < 0)
		return STATUS_USAGE;
	if (config->block == BLOCK_ONLY || config->block == BLOCK_OPEN)
		return run_block(config);
	if (!config->password_file && !config->token_file && !config->oidc_github)
		config->password_file = credential;
	if (client_password_open(&password, &command_connect, config) < 0)
		return STATUS_USAGE;
	config->lock = -1;
	log_setup(config->log_level, config->log_format, "connect");
	client_password_check(&password);
	if (config->once && config->timeout_ms == 0)
		config->timeout_ms = ONCE_TIME_MS;
	status = exit_status(client_run(config));
	client_password_close(&password);
	return status;
}

const struct command command_connect = {
	.name = "connect",
	.summary = "keep up a tunnel to a vprox server",
	.synopsis = "VPROX_PASSWORD=... vprox connect SERVER [OPTION...]",
	.description =
		"Keeps up a tunnel to the vprox server at SERVER, an IPv4 address or a name. "
		"What is sent into the tunnel's interface leaves with the server's address: "
		"try `curl --interface vprox0 URL`. The default route stays as it is.",
	.options = options,
	.closing =
		"The server's password is read from the file, or from the environment, "
		"VPROX_PASSWORD; a token from its file, or VPROX_OIDC_TOKEN, or got from "
		"GitHub.\n\n"
		"Exit status: 0, stopped, or up with --once; 1, something of this machine is in "
		"the way; 2, the command line is wrong; 3, the server refuses, or is not the "
		"expected one; 4, the server did not answer in time; 5, it did, but nothing came "
		"through the tunnel.\n\n"
		"A TIME is a number with ms, s, m or h behind it; without, it is in seconds.",
	.operand = "SERVER",
	.configuration_size = sizeof(struct client_config),
	.run = run_connect,
};
